/** Machines as people name them: by id, name or MAC address. The hub knows which it is. */
import { type Machine, machineSchema } from "../api/wire.ts";
import type { CliContext } from "./cli.ts";

export const machinePath = (reference: string) => `/machines/${encodeURIComponent(reference)}`;

/** @throws {DrpError} `machine.unknown` */
export function findMachine(context: CliContext, reference: string): Promise<Machine> {
  return context.api().get(machinePath(reference), machineSchema);
}
