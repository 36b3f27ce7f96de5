/** How long to wait before the next try. */

const FIRST_DELAY_MS = 500;
/** A site that comes back is noticed within this time. */
const MAX_DELAY_MS = 30_000;

/**
 * Doubles with each failure, spread over the upper half: a site's machines, started by one breaker, must not come in step.
 *
 * @param failures in a row, from 1
 * @param random 0 … 1
 */
export function retryDelayMs(failures: number, random: number): number {
  const ceiling = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
  return Math.round(ceiling * (0.5 + random / 2));
}
