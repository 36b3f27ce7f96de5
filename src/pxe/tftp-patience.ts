/**
 * How long a transfer waits for an acknowledgement before it sends again: as long as its round trips have taken (RFC 6298),
 * or as long as the client asked for (RFC 2349). Knows times; neither blocks nor clocks.
 *
 * A fixed second would make a lossy line crawl: in lock-step at 1 % loss a 32 MB file has some 470 such waits.
 */

/** RFC 6298 §2: smoothed round trip and its variation, in milliseconds. */
export interface RoundTrip {
  readonly smoothedMs: number;
  readonly variationMs: number;
}

/** RFC 6298 §2.1: before anything was measured. */
const FIRST_WAIT_MS = 1000;
/** Firmware polls its card every 10 ms and may be busy with its screen; TCP in Linux waits 200 ms at least. */
const SHORTEST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 8000;

/**
 * @param sampleMs of a packet that was sent once (Karn's rule); a negative one, from a clock that was set back, is passed over
 */
export function observeRoundTrip(known: RoundTrip | null, sampleMs: number): RoundTrip | null {
  if (sampleMs < 0) return known;
  if (known === null) return { smoothedMs: sampleMs, variationMs: sampleMs / 2 };
  const variationMs = 0.75 * known.variationMs + 0.25 * Math.abs(known.smoothedMs - sampleMs);
  return { smoothedMs: 0.875 * known.smoothedMs + 0.125 * sampleMs, variationMs };
}

/**
 * @param askedMs by the client; then each wait is just that long
 * @param repetitions sent since the last progress: each doubles the wait
 */
export function waitMs(askedMs: number | null, roundTrip: RoundTrip | null, repetitions: number): number {
  if (askedMs !== null) return askedMs;
  const measuredMs = roundTrip === null ? FIRST_WAIT_MS : roundTrip.smoothedMs + 4 * roundTrip.variationMs;
  return Math.min(Math.max(measuredMs, SHORTEST_WAIT_MS) * 2 ** repetitions, LONGEST_WAIT_MS);
}
