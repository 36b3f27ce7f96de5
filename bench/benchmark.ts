/**
 * What a benchmark is and how its figures are made of runs in pairs: pure, so that medians, ratios and the printed lines are
 * tested. How anything is measured stands in a file per benchmark.
 */

/** One line of `--json`; the keys are a contract with whoever reads them. */
export interface Figure {
  readonly bench: string;
  readonly case: string;
  readonly unit: string;
  readonly ours: number;
  /** Null: there is nobody to compare with, and `limit` and `ok` are there instead. */
  readonly peer: number | null;
  /** Above 1 always means better than the peer. */
  readonly ratio: number | null;
  readonly limit?: number;
  readonly ok?: boolean;
}

export interface Result {
  readonly figure: Figure;
  /** The ratio that was asked for; null: told for information. */
  readonly bar: number | null;
}

/** Where a benchmark may work, and how it says what it is about. */
export interface BenchRun {
  readonly bench: string;
  /** Empty at the start, removed at the end; on a real disk, never a tmpfs: our fsyncs must cost what they cost. */
  readonly folder: string;
  /** One line of progress, for people. */
  readonly say: (line: string) => void;
  /** Ctrl-C: programs that were started end with it. */
  readonly signal: AbortSignal;
}

export interface Benchmark {
  readonly name: string;
  /** One line: what is compared with whom. */
  readonly summary: string;
  /** @throws whatever kept it from measuring; a missed bar is a figure, not an error */
  readonly run: (run: BenchRun) => Promise<readonly Result[]>;
}

/** Whether more of it is better ("1/s") or less ("ms"). */
export type Better = "higher" | "lower";

/** Fewer than three have no median that one disturbed run could not move. */
const MIN_ROUNDS = 3;

/** What was measured of each side, a value a round. */
export type Rounds<Side extends string, T> = Readonly<Record<Side, readonly T[]>>;
export type Pairs<T> = Rounds<"ours" | "peer", T>;

/**
 * Measures each side in turn; every second round goes the other way round, so that none always runs on the warmer machine.
 *
 * @param rounds at least three
 */
export async function measureInTurn<Side extends string, T>(
  rounds: number,
  measure: Readonly<Record<Side, () => Promise<T>>>,
): Promise<Rounds<Side, T>> {
  if (rounds < MIN_ROUNDS) throw new RangeError(`${rounds} rounds; at least ${MIN_ROUNDS} are compared`);
  const sides = Object.keys(measure) as Side[];
  const measured = Object.fromEntries(sides.map(side => [side, [] as T[]])) as Record<Side, T[]>;
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      measured[side].push(await measure[side]());
    }
  }
  return measured;
}

/** @throws {RangeError} of no values there is none */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) throw new RangeError("no values");
  return (lower + upper) / 2;
}

export interface Comparison {
  readonly case: string;
  readonly unit: string;
  readonly better: Better;
  /** The least ratio that was asked for; null: for information. */
  readonly bar: number | null;
}

/** Medians of both sides; the ratio is that of the medians as printed. */
export function comparedWithPeer(bench: string, comparison: Comparison, pairs: Pairs<number>): Result {
  const ours = roundFigure(median(pairs.ours));
  const peer = roundFigure(median(pairs.peer));
  const ratio = comparison.better === "higher" ? ours / peer : peer / ours;
  return {
    figure: { bench, case: comparison.case, unit: comparison.unit, ours, peer, ratio: roundRatio(ratio) },
    bar: comparison.bar,
  };
}

export interface Bound {
  readonly case: string;
  readonly unit: string;
  readonly better: Better;
  readonly limit: number;
}

/** A figure without a peer: it meets its limit or not. */
export function heldAgainstLimit(bench: string, bound: Bound, measured: number): Result {
  const ours = roundFigure(measured);
  const ok = bound.better === "higher" ? ours >= bound.limit : ours <= bound.limit;
  const { case: name, unit, limit } = bound;
  return { figure: { bench, case: name, unit, ours, peer: null, ratio: null, limit, ok }, bar: null };
}

/** "ok" or "missed", or nothing where nothing was asked for. */
export function verdict({ figure, bar }: Result): "ok" | "missed" | "" {
  if (figure.ok !== undefined) return figure.ok ? "ok" : "missed";
  if (bar === null || figure.ratio === null) return "";
  return figure.ratio >= bar ? "ok" : "missed";
}

/** Results as a table for people. */
export function formatResults(results: readonly Result[]): string {
  const rows = results.map(result => {
    const { figure, bar } = result;
    const asked = figure.limit !== undefined ? `limit ${figure.limit}` : bar === null ? "" : `≥ ${bar} ×`;
    const ratio = figure.ratio === null ? "" : `${figure.ratio} ×`;
    return [
      figure.case,
      `${figure.ours}`,
      `${figure.peer ?? ""}`,
      figure.unit,
      ratio,
      asked,
      verdict(result),
    ];
  });
  const table = [["case", "ours", "peer", "unit", "ratio", "asked", ""], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map(row => row[column]?.length ?? 0))) ?? [];
  return table
    .map(row =>
      row
        .map((cell, column) =>
          // Numbers stand right, words left.
          [1, 2, 4].includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Four digits say all that a run in pairs can know. */
function roundFigure(value: number): number {
  return Number(value.toPrecision(value >= 1000 ? Math.ceil(Math.log10(value + 1)) : 4));
}

function roundRatio(value: number): number {
  return Number(value.toPrecision(3));
}
