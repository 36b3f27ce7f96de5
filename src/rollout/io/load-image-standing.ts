/** Reads from the store what decides whether the fleet still takes an image. */
import type { EpochMs } from "../../core/time.ts";
import type { ImageDigest } from "../../images/manifest.ts";
import type { ImageRecord, ReleaseFloorRecord, Store } from "../../store/ports.ts";
import type { ImageStanding } from "../image-standing.ts";
import { loadKnownKeys } from "./load-key-chain.ts";

export async function loadImageStanding(
  store: Store,
  image: Pick<ImageRecord, "name" | "keyId">,
  now: EpochMs,
): Promise<ImageStanding> {
  const floor = (await store.listReleaseFloors()).find(({ imageName }) => imageName === image.name);
  return {
    signatureRefusal: (await loadSignerRefusals(store, now))(image.keyId),
    floor:
      floor === undefined
        ? null
        : { release: floor.release, reason: floor.reason, recorded: await readRecorded(store, floor) },
  };
}

/** @returns from a key's id to why its signatures count no more; null where they do */
export async function loadSignerRefusals(
  store: Store,
  now: EpochMs,
): Promise<(keyId: string) => string | null> {
  const keys = await loadKnownKeys(store, now);
  const byId = new Map(keys.map(key => [key.keyId, key]));
  return keyId => {
    // Nobody is trusted yet, so nothing can have been pushed by a key that was.
    if (keys.length === 0) return null;
    const key = byId.get(keyId);
    if (key === undefined) return `key ${keyId.slice(0, 16)}, which no key list has`;
    return key.refusal === undefined ? null : `key ${key.refusal.keyName}, which ${key.refusal.why}`;
  };
}

async function readRecorded(
  store: Store,
  { rolloutId }: ReleaseFloorRecord,
): Promise<ReadonlySet<ImageDigest>> {
  const rollout = rolloutId === null ? undefined : await store.findRollout(rolloutId);
  const sites = rollout?.plan.waves.flatMap(wave => wave.sites) ?? [];
  return new Set(
    sites.flatMap(site => [
      ...(site.baselineBefore === null ? [] : [site.baselineBefore]),
      ...site.machines.map(machine => machine.from),
    ]),
  );
}
