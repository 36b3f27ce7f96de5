/** Reads the report of wrk, the HTTP load generator. */

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
  TB: 1024 ** 4,
};

/**
 * @returns megabytes (10^6 bytes) a second, of all connections together
 * @throws {Error} with the report, where it has no such line or tells of failed requests
 */
export function parseMegabytesPerSecond(report: string): number {
  const [, amount, unit] = /^Transfer\/sec:\s+([\d.]+)([KMGT]?B)$/m.exec(report) ?? [];
  const failed = /^\s+(Socket errors|Non-2xx or 3xx responses):.*$/m.exec(report);
  if (amount === undefined || unit === undefined || failed !== null) {
    throw new Error(`wrk did not fetch everything that it asked for; it said: ${report}`);
  }
  return (Number(amount) * (UNITS[unit] ?? Number.NaN)) / 1e6;
}
