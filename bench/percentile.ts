/** The value below which a share of the measured ones lie. */

/**
 * By nearest rank: always one of the values, never a mean of two.
 *
 * @param share 0.99 for the 99th percentile
 * @throws {RangeError} of no values there is none
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
  if (value === undefined) throw new RangeError("no values");
  return value;
}
