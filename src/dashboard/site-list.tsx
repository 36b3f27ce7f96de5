import type { Site } from "../api/wire.ts";
import { stateLabel } from "./words.ts";

export function SiteList({ sites }: { sites: readonly Site[] }) {
  return (
    <section aria-labelledby="sites-title">
      <h2 id="sites-title">Sites</h2>
      <ul class="card entries">
        {sites.map(site => (
          <li key={site.id}>
            <strong>{site.name}</strong>
            <span class="quiet">{countsOf(site)}</span>
            <span class="quiet">Unknown machines: {site.unknown}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function countsOf(site: Site): string {
  const counts = Object.entries(site.machines).filter(([, count]) => count > 0);
  return counts.map(([kind, count]) => `${count} ${stateLabel(kind)}`).join(", ") || "no machines";
}
