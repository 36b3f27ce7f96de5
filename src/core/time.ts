/** Time as plain numbers. Pure code takes `now` as an argument; only io/ and main.ts own a clock. */

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number;

/** Answers the present time. Injected so that tests can use a clock that stands still or runs backwards. */
export type Clock = () => EpochMs;

/** "3 s", "4 min 10 s", "2 h 5 min": two units at most, for people. */
export function formatDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.round(durationMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return join(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return join(hours, "h", minutes % 60, "min");
  return join(Math.floor(hours / 24), "d", hours % 24, "h");
}

function join(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}
