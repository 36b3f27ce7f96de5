/**
 * Images whose bytes are kept and that the fleet's books do not have: of a hub that ended between the two, or of books that were
 * restored from an older copy. They are entered again, as bytes are what nobody can bring back; who does not want one removes it.
 */
import { DrpError } from "../core/errors.ts";
import type { Clock } from "../core/time.ts";
import type { ImageRegistry } from "../images/io/registry.ts";
import type { ImageDigest } from "../images/manifest.ts";
import { parseManifest } from "../images/parse-manifest.ts";
import type { Store } from "../store/ports.ts";
import { imageRecord } from "./record-pushed-image.ts";

export interface AdoptionDeps {
  readonly store: Store;
  readonly registry: Pick<ImageRegistry, "images" | "manifest">;
  readonly clock: Clock;
}

/** For a hub that starts: nobody pushes or removes yet. */
export async function adoptUnrecordedImages(deps: AdoptionDeps): Promise<void> {
  for (const digest of await deps.registry.images()) {
    if (await isUnrecorded(deps.store, digest)) await adopt(deps, digest);
  }
}

export async function isUnrecorded(store: Pick<Store, "findImages">, digest: ImageDigest): Promise<boolean> {
  return (await store.findImages(digest)).length === 0;
}

async function adopt({ store, registry, clock }: AdoptionDeps, digest: ImageDigest): Promise<void> {
  const signed = await registry.manifest(digest).catch((error: unknown) => {
    // A scrub names it.
    if (error instanceof DrpError && error.code === "storage.damaged") return undefined;
    throw error;
  });
  if (signed === undefined) return;
  const manifest = parseManifest(signed.manifestText);
  const at = clock();
  const image = imageRecord({ manifest, digest, keyId: signed.signature.keyId }, "hub", at);
  await store.commit([
    { kind: "insert-image", image },
    {
      kind: "append-event",
      event: {
        at,
        kind: "image.found",
        severity: "warning",
        siteId: null,
        machineId: null,
        mac: null,
        summary: `found ${image.name}:${image.version}, of which this hub had no record: a push or a removal was cut, or the records are an older copy; remove it if nobody wants it`,
        facts: { image: digest },
      },
    },
  ]);
}
