/** Which boot events are more than a line of a timeline: a person should look, before machines are in want. */
import type { MachineEvent } from "./machine-event.ts";

const WARNINGS: ReadonlySet<string> = new Set([
  "dhcp.conflict",
  "dhcp.failed",
  "dhcp.interface-lost",
  "dhcp.other-server",
  "dhcp.pool-empty",
  "proxy.failed",
]);

export function severityOfBootEvent(kind: string): MachineEvent["severity"] {
  return WARNINGS.has(kind) ? "warning" : "info";
}
