/** Machine records as clients see them: with the names of their site and of the image that they run. */
import type { MachineRecord, RunningReport } from "../agent/hub/machine-record.ts";
import type { Store } from "../store/ports.ts";
import type { Machine } from "./wire.ts";

/** One look-up per distinct site and image, however many machines share them. */
export async function machinesToWire(store: Store, machines: readonly MachineRecord[]): Promise<Machine[]> {
  const siteNames = await namesOf(
    machines.map(machine => machine.siteId),
    async id => (await store.findSite(id))?.name,
  );
  const imageNames = await namesOf(
    machines.flatMap(machine => machine.running?.image ?? []),
    async digest => {
      const [image] = await store.findImages(digest);
      return image === undefined ? undefined : `${image.name}:${image.version}`;
    },
  );
  return machines.map(machine => {
    const { id, siteId, name, macs, labels, inventory, installGeneration, state } = machine;
    const { createdAt, updatedAt, lastSeenAt, revision } = machine;
    return {
      id,
      siteId,
      siteName: siteNames.get(siteId) ?? siteId,
      name,
      macs: [...macs],
      labels,
      inventory,
      installGeneration,
      state,
      running: machine.running === null ? null : runningToWire(machine.running, imageNames),
      target: machine.target,
      denied: [...machine.denied],
      createdAt,
      updatedAt,
      lastSeenAt,
      revision,
    };
  });
}

function runningToWire(running: RunningReport, imageNames: ReadonlyMap<string, string>): Machine["running"] {
  const { image, slot, bootId, bootCount, seq, uptimeSeconds, agentVersion, health } = running;
  const { slotConfirmed, update, receivedAt } = running;
  const imageName = imageNames.get(image) ?? null;
  return {
    image,
    imageName,
    slot,
    bootId,
    bootCount,
    seq,
    uptimeSeconds,
    agentVersion,
    health: [...health],
    slotConfirmed,
    update,
    receivedAt,
  };
}

async function namesOf(
  keys: readonly string[],
  find: (key: string) => Promise<string | undefined>,
): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (const key of new Set(keys)) {
    const name = await find(key);
    if (name !== undefined) names.set(key, name);
  }
  return names;
}
