/** One rollout on one screen: where it stands and why, its waves, its machines, and the proof after a rollback. */
import type { Rollout } from "../../api/wire.ts";
import { shortDigest } from "../../core/bytes.ts";
import type { EpochMs } from "../../core/time.ts";
import {
  type MachineRow,
  machineRows,
  progressReason,
  progressText,
  progressTone,
  rolloutStateText,
  rolloutTone,
  type Tally,
  tallyOf,
  type WaveState,
  waveStateText,
  waveTone,
} from "./rollout-words.ts";
import { type Column, type Paint, printable, renderTable } from "./table.ts";

export interface RolloutViewContext {
  readonly now: EpochMs;
  readonly nameOf: (digest: string) => string;
  readonly widthColumns: number;
  readonly paint: Paint;
}

export function renderRollout(rollout: Rollout, view: RolloutViewContext): string {
  const { widthColumns, paint } = view;
  const rows = machineRows(rollout);
  const title = `${rollout.id}  ${rollout.plan.imageName}  ${rolloutStateText(rollout.state, view.now)}`;
  const parts = [
    `${paint(rolloutTone(rollout.state), printable(title))}\n${heldLines(rollout, view)}`,
    renderTable(waveRows(rollout, rows), waveColumns(view.now), widthColumns, paint),
    renderTable(rows, machineColumns(view), widthColumns, paint),
  ];
  const proven = rows.filter(isProof);
  if (proven.length > 0) parts.push(renderProof(proven, rows, view));
  return parts.join("\n");
}

/** Why it stands still: the table may have to cut it, and somebody has to act on it. */
function heldLines({ waves }: Rollout, { paint }: RolloutViewContext): string {
  return waves
    .map((wave, index) =>
      wave.kind === "held"
        ? `${paint("busy", printable(`wave ${index + 1} is held: ${wave.reason}`))}\n`
        : "",
    )
    .join("");
}

interface WaveRow {
  readonly number: number;
  readonly label: string;
  readonly state: WaveState;
  readonly sites: readonly string[];
  readonly tally: Tally;
}

function waveRows({ plan, waves }: Rollout, rows: readonly MachineRow[]): WaveRow[] {
  return plan.waves.map(({ label, sites }, index) => ({
    number: index + 1,
    label,
    state: waves[index] ?? { kind: "pending" },
    sites: sites.map(site => site.name),
    tally: tallyOf(rows.filter(row => row.wave === index)),
  }));
}

const waveColumns = (now: EpochMs): Column<WaveRow>[] => [
  { title: "WAVE", cell: row => `${row.number} (${row.label})` },
  {
    title: "STATE",
    cell: row => waveCell(row.state, now),
    tone: row => waveTone(row.state),
  },
  { title: "SITES", cell: row => sitesText(row.sites), dropFirst: 2 },
  { title: "PROGRESS", cell: row => bar(row.tally), dropFirst: 1 },
  { title: "DONE", cell: row => `${row.tally.done}/${row.tally.total}`, align: "right" },
  { title: "FAILED", cell: row => String(row.tally.failed), align: "right" },
  { title: "QUEUED", cell: row => String(row.tally.queued), align: "right", dropFirst: 3 },
];

/** Its reason stands above the table. */
function waveCell(state: WaveState, now: EpochMs): string {
  return state.kind === "held" || state.kind === "failed" ? state.kind : waveStateText(state, now);
}

const MOST_SITES = 3;

function sitesText(sites: readonly string[]): string {
  return sites.length <= MOST_SITES ? sites.join(", ") : `${sites.length} sites`;
}

const BAR_CHARACTERS = 12;

/** "██████░░░░░░  50%": machines that are confirmed. */
function bar({ done, total }: Tally): string {
  const share = total === 0 ? 1 : done / total;
  const filled = Math.floor(share * BAR_CHARACTERS);
  return `${"█".repeat(filled)}${"░".repeat(BAR_CHARACTERS - filled)} ${`${Math.floor(share * 100)}%`.padStart(4)}`;
}

const machineColumns = (view: RolloutViewContext): Column<MachineRow>[] => [
  { title: "MACHINE", cell: row => row.name },
  { title: "SITE", cell: row => row.site, dropFirst: 1 },
  { title: "FROM", cell: row => view.nameOf(row.from), dropFirst: 2 },
  { title: "PROGRESS", cell: row => progressText(row.progress), tone: row => progressTone(row.progress) },
  { title: "REASON", cell: row => progressReason(row.progress), shrinkTo: 20 },
];

type ProofRow = MachineRow & {
  readonly progress: {
    readonly kind: "returned" | "untouched";
    readonly image: string;
    readonly bootId: string;
  };
};

function isProof(row: MachineRow): row is ProofRow {
  return row.progress.kind === "returned" || row.progress.kind === "untouched";
}

function renderProof(
  proven: readonly ProofRow[],
  all: readonly MachineRow[],
  { nameOf, widthColumns, paint }: RolloutViewContext,
): string {
  const columns: Column<ProofRow>[] = [
    { title: "MACHINE", cell: row => row.name },
    { title: "RUNS", cell: row => nameOf(row.progress.image), dropFirst: 2 },
    { title: "DIGEST", cell: row => shortDigest(row.progress.image) },
    { title: "BOOT ID", cell: row => row.progress.bootId },
    { title: "HOW", cell: row => row.progress.kind, dropFirst: 1 },
  ];
  const title = `Proof of the rollback: ${proven.length} of ${all.length} machines`;
  return `${paint("title", title)}\n${renderTable(proven, columns, widthColumns, paint)}`;
}
