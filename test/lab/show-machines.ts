/** `drp machines list`, for people on the timeline and as data for the tests. */
import type { Machine } from "../../src/api/wire.ts";
import type { LabHub } from "./lab-hub.ts";
import type { Timeline } from "./timeline.ts";

export interface SeenMachine {
  readonly name: string;
  /** NAME:VERSION */
  readonly image: string;
  readonly bootId: string;
  readonly state: string;
}

export async function showMachines(hub: LabHub, timeline: Timeline): Promise<SeenMachine[]> {
  timeline.block(await hub.drp("machines", "list", "-o", "table"));
  const machines = await hub.query<Machine>("machines", "list");
  return machines.map(({ name, state, running }) => ({
    name,
    image: running?.imageName ?? "-",
    bootId: running?.bootId ?? "-",
    state: state.kind,
  }));
}
