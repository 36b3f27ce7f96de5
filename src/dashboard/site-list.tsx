import type { Site } from "../api/wire.ts";
import { type Fleet, imageName } from "./fleet.ts";
import { age, stateLabel } from "./words.ts";

export function SiteList({ fleet, now }: { fleet: Fleet; now: number }) {
  return (
    <section aria-labelledby="sites-title">
      <h2 id="sites-title">Sites</h2>
      <ul class="card entries">
        {fleet.sites.map(site => (
          <li key={site.id}>
            <strong>{site.name}</strong>
            <span class="quiet">{countsOf(site)}</span>
            {site.baseline !== null && <span class="quiet">Baseline: {imageName(fleet, site.baseline)}</span>}
            <span class="quiet">{membershipOf(site, now)}</span>
            <span class="quiet">Unknown machines: {site.unknown}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function membershipOf({ membership, lastSeenAt }: Site, now: number): string {
  if (membership === "local") return "Run by this hub";
  return membership === "invited" ? "Invited; has not joined yet" : `Last seen ${age(lastSeenAt, now)}`;
}

function countsOf(site: Site): string {
  const counts = Object.entries(site.machines).filter(([, count]) => count > 0);
  return counts.map(([kind, count]) => `${count} ${stateLabel(kind)}`).join(", ") || "no machines";
}
