/** A rollout's plan as people read it before they start it: what goes where, what is left out and why, what runs it. */
import type { RolloutPlan, RolloutRequest } from "../../api/wire.ts";
import { shortDigest } from "../../core/bytes.ts";
import { formatDuration } from "../../core/time.ts";
import { machineCount, plural } from "./rollout-words.ts";
import { type Column, type Paint, printable, renderFields, renderTable } from "./table.ts";

interface PlanRow {
  readonly wave: string;
  readonly site: string;
  readonly machine: string;
  readonly change: string;
}

/** @param request what the plan was asked for with: the command that starts it says the same again */
export function renderPlan(
  plan: RolloutPlan,
  request: RolloutRequest,
  nameOf: (digest: string) => string,
  widthColumns: number,
  paint: Paint,
): string {
  const parts = [
    renderFields(planFields(plan), paint),
    renderTable(planRows(plan, nameOf), columns, widthColumns, paint),
  ];
  if (plan.deferred.length > 0) {
    const lines = plan.deferred.map(({ name, reason }) => `  ${printable(name)}: ${printable(reason)}\n`);
    parts.push(`${paint("title", "Left out")}\n${lines.join("")}`);
  }
  parts.push(`${paint("title", "Start exactly this")}\n  ${startCommand(plan, request)}\n`);
  return parts.join("\n");
}

function planFields(plan: RolloutPlan): [string, string][] {
  const sites = plan.waves.flatMap(wave => wave.sites);
  const strategy =
    plan.strategy === "ab" ? "ab: the other slot, then a trial boot" : "reimage: the whole disk";
  return [
    [
      "Image",
      `${plan.imageName} ${shortDigest(plan.image)}${plan.imageTag === undefined ? "" : ` (tag ${plan.imageTag})`}`,
    ],
    ["Strategy", strategy],
    [
      "Over",
      `${plural(machineCount(plan), "machine")} at ${plural(sites.length, "site")}${plan.selector === "" ? "" : ` (${plan.selector})`}`,
    ],
    [
      "Gate",
      `${formatDuration(plan.soakSeconds * 1000)} of health after each wave; ${formatDuration(plan.machineTimeoutSeconds * 1000)} for one machine`,
    ],
    ["Plan", plan.hash],
  ];
}

function planRows(plan: RolloutPlan, nameOf: (digest: string) => string): PlanRow[] {
  return plan.waves.flatMap((wave, index) => {
    const label = `${index + 1} (${wave.label})`;
    return wave.sites.flatMap(({ name: site, machines }) =>
      machines.length === 0
        ? [{ wave: label, site, machine: "-", change: "runs it already" }]
        : machines.map(({ name, from }) => ({
            wave: label,
            site,
            machine: name,
            change: `${nameOf(from)} → ${plan.imageName}`,
          })),
    );
  });
}

const columns: Column<PlanRow>[] = [
  { title: "WAVE", cell: row => row.wave },
  { title: "SITE", cell: row => row.site },
  { title: "MACHINE", cell: row => row.machine },
  { title: "FROM → TO", cell: row => row.change },
];

/** Every flag that the plan depends on, and its hash: where the fleet has changed since, the hub refuses. */
export function startCommand(plan: RolloutPlan, request: RolloutRequest): string {
  const flags: [string, string | undefined][] = [
    ["--plan", plan.hash],
    ["--image", request.image],
    ["--wave", request.waves],
    ["--selector", request.selector || undefined],
    ["--strategy", request.strategy === "ab" ? undefined : request.strategy],
    ["--machine", request.machine],
    ["--soak", `${request.soakSeconds}s`],
    ["--timeout-per-machine", `${request.machineTimeoutSeconds}s`],
    ["--seed", request.seed],
  ];
  const words = flags.flatMap(([flag, value]) => (value === undefined ? [] : [flag, quoted(value)]));
  return ["drp rollout start", ...words].join(" ");
}

/** For a shell: "!" and "*" mean something there. */
function quoted(value: string): string {
  return /^[A-Za-z0-9_.,:%/=@+-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
