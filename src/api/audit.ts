/** Lines of the event log that say what a person or CI did through the API. */
import type { MachineRecord } from "../agent/hub/machine-record.ts";
import type { EpochMs } from "../core/time.ts";
import type { NewEvent, StoreChange } from "../store/ports.ts";
import type { Caller } from "./route.ts";

interface AuditInput {
  readonly kind: string;
  readonly at: EpochMs;
  readonly caller: Caller;
  /** Continues "NAME …". */
  readonly did: string;
  readonly facts?: NewEvent["facts"];
  readonly machine?: Pick<MachineRecord, "id" | "siteId" | "macs">;
  readonly siteId?: string;
}

export function audit(input: AuditInput): StoreChange {
  return { kind: "append-event", event: auditEvent(input) };
}

export function auditEvent(input: AuditInput): NewEvent {
  const { machine, caller } = input;
  return {
    at: input.at,
    kind: input.kind,
    severity: "info",
    siteId: machine?.siteId ?? input.siteId ?? null,
    machineId: machine?.id ?? null,
    mac: machine?.macs[0] ?? null,
    summary: `${caller.name} ${input.did}`,
    facts: { ...input.facts, by: caller.name, tokenId: caller.tokenId },
  };
}
