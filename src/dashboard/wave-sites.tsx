import type { Rollout } from "../api/wire.ts";
import {
  isSettled,
  type MachineProgress,
  type PlannedSite,
  percentOf,
  plural,
  progressLabel,
  progressTone,
} from "./rollout-words.ts";

/** A page with more would be neither read nor quick. */
const MOST_SITES = 50;

/** The sites of one wave with their machines; folded away while the wave waits or has passed. */
export function WaveSites({ rollout, index }: { rollout: Rollout; index: number }) {
  const sites = rollout.plan.waves[index]?.sites ?? [];
  const state = rollout.waves[index]?.kind ?? "pending";
  const hidden = sites.length - MOST_SITES;
  return (
    <details class="wave" open={state !== "pending" && state !== "passed"}>
      <summary>
        Wave {index + 1}: {plural(sites.length, "site")}
      </summary>
      <ul class="sites">
        {sites.slice(0, MOST_SITES).map(site => (
          <Site key={site.siteId} site={site} machines={rollout.machines} />
        ))}
      </ul>
      {hidden > 0 && (
        <p class="quiet fine">
          and {plural(hidden, "more site")}: <code>drp rollout status {rollout.id}</code>
        </p>
      )}
    </details>
  );
}

function Site({ site, machines }: { site: PlannedSite; machines: Rollout["machines"] }) {
  const rows = site.machines.map(({ machineId, name }) => ({
    name,
    progress: machines[machineId] ?? { kind: "queued" as const },
  }));
  const settled = rows.filter(row => isSettled(row.progress)).length;
  return (
    <li>
      <div class="row">
        <strong>{site.name}</strong>
        <span class="quiet figures">
          {rows.length === 0 ? "runs it already" : `${settled} of ${plural(rows.length, "machine")} done`}
        </span>
      </div>
      {settled < rows.length && (
        <progress
          aria-label={`Site ${site.name}`}
          max={100}
          value={rows.reduce((sum, row) => sum + shareOf(row.progress), 0) / rows.length}
        />
      )}
      <ul class="updates">
        {rows.map(row => (
          <Machine key={row.name} {...row} />
        ))}
      </ul>
    </li>
  );
}

function Machine({ name, progress }: { name: string; progress: MachineProgress }) {
  const isMoving = progress.kind === "updating" || progress.kind === "returning";
  const percent = percentOf(progress);
  return (
    <li>
      <span>{name}</span>
      <span class={`pill ${progressTone(progress)}`}>{progressLabel(progress)}</span>
      {isMoving && (
        <progress
          aria-label={`Update of ${name}`}
          max={100}
          {...(percent === undefined ? {} : { value: percent })}
        />
      )}
      {"reason" in progress && <span class="quiet detail">{progress.reason}</span>}
    </li>
  );
}

/** The last tenth of a machine is its trial boot. */
const BYTES_SHARE = 0.9;

function shareOf(progress: MachineProgress): number {
  if (isSettled(progress)) return 100;
  return BYTES_SHARE * (percentOf(progress) ?? 0);
}
