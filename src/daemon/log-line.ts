/** One record of the log as one line for people: "12:03:44 warn  dhcp is off: … folder=/var/lib/drp". */

/** pino's numbers. */
const LEVELS: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warn", 50: "error" };

/** @param json a line as pino writes it */
export function formatLogLine(json: string): string {
  const { level, time, msg, ...facts } = JSON.parse(json) as Record<string, unknown>;
  const clock = new Date(Number(time)).toTimeString().slice(0, 8);
  const details = Object.entries(facts).map(([name, value]) => ` ${name}=${formatFact(value)}`);
  return `${clock} ${(LEVELS[Number(level)] ?? String(level)).padEnd(5)} ${msg}${details.join("")}\n`;
}

/** Line breaks of a fact would look like another record. */
function formatFact(value: unknown): string {
  return typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
