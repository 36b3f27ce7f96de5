/** Enters an image whose bytes the registry holds into the fleet's books; a second time changes nothing and says so. */
import type { z } from "zod";
import { formatBytes } from "../core/bytes.ts";
import { DrpError } from "../core/errors.ts";
import type { EpochMs } from "../core/time.ts";
import { countDataBytes } from "../images/chunker.ts";
import type { ImageRegistry } from "../images/io/registry.ts";
import type { ImageDigest, Manifest } from "../images/manifest.ts";
import type { ImageRecord, Store } from "../store/ports.ts";
import { audit } from "./audit.ts";
import { requireImage } from "./references.ts";
import type { Caller } from "./route.ts";
import type { pushedImageSchema } from "./wire.ts";

export interface KeptImage {
  readonly manifest: Manifest;
  readonly digest: ImageDigest;
  /** Which trusted key signed it. */
  readonly keyId: string;
}

export interface RecordingDeps {
  readonly store: Store;
  readonly registry: Pick<ImageRegistry, "confirm">;
}

/** @throws {DrpError} image.removed */
export async function recordPushedImage(
  { store, registry }: RecordingDeps,
  kept: KeptImage,
  caller: Caller,
  now: EpochMs,
): Promise<z.infer<typeof pushedImageSchema>> {
  const recorded = await enterImage(store, kept, caller, now);
  const takeBack = async () => {
    if (!recorded.alreadyPresent) await store.commit([{ kind: "delete-image", digest: kept.digest }]);
  };
  if (await registry.confirm(kept.digest, takeBack)) return recorded;
  const { name, version } = kept.manifest;
  throw new DrpError("image.removed", `${name}:${version} was removed at the same moment`, {
    advice: "Push it again.",
  });
}

async function enterImage(
  store: Store,
  kept: KeptImage,
  caller: Caller,
  now: EpochMs,
): Promise<z.infer<typeof pushedImageSchema>> {
  const image = imageRecord(kept, caller.name, now);
  const outcome = await store.commit([
    { kind: "insert-image", image },
    audit({
      kind: "image.pushed",
      at: image.pushedAt,
      caller,
      did: `pushed ${image.name}:${image.version} (${formatBytes(image.dataBytes)} of data)`,
      facts: { image: image.digest, keyId: image.keyId },
    }),
  ]);
  if (outcome.kind === "committed") return { image, alreadyPresent: false };
  const known = await requireImage(store, image.digest);
  if (known.keyId === image.keyId) return { image: known, alreadyPresent: true };
  await store.commit([
    { kind: "set-image-signer", digest: image.digest, keyId: image.keyId },
    audit({
      kind: "image.signed-anew",
      at: now,
      caller,
      did: `signed ${image.name}:${image.version} anew, with key ${image.keyId.slice(0, 16)} in place of ${known.keyId.slice(0, 16)}`,
      facts: { image: image.digest, keyId: image.keyId, keyIdBefore: known.keyId },
    }),
  ]);
  return { image: { ...known, keyId: image.keyId }, alreadyPresent: true };
}

export function imageRecord({ manifest, digest, keyId }: KeptImage, by: string, now: EpochMs): ImageRecord {
  const { name, version, architecture, payloads, release, minimumRelease } = manifest;
  const sizeBytes = payloads.reduce((sum, payload) => sum + payload.sizeBytes, 0);
  const dataBytes = payloads.reduce((sum, payload) => sum + countDataBytes(payload), 0);
  return {
    digest,
    name,
    version,
    architecture,
    sizeBytes,
    dataBytes,
    keyId,
    release,
    minimumRelease,
    pushedAt: now,
    pushedBy: by,
  };
}
