/** Images whose bytes are kept and that the fleet's books do not have: a hub that ended in between leaves them. They go. */
import { shortDigest } from "../core/bytes.ts";
import type { Clock } from "../core/time.ts";
import type { ImageRegistry } from "../images/io/registry.ts";
import type { ImageDigest } from "../images/manifest.ts";
import type { Store } from "../store/ports.ts";

export interface UnrecordedDeps {
  readonly store: Store;
  readonly registry: Pick<ImageRegistry, "removeUnrecorded">;
  readonly clock: Clock;
}

export async function removeUnrecordedImages({ store, registry, clock }: UnrecordedDeps): Promise<void> {
  const removed = await registry.removeUnrecorded(async digest => !(await isUnrecorded(store, digest)));
  if (removed.length === 0) return;
  await store.commit(
    removed.map(image => ({
      kind: "append-event",
      event: {
        at: clock(),
        kind: "image.unrecorded-removed",
        severity: "warning",
        siteId: null,
        machineId: null,
        mac: null,
        summary: `removed the files of image ${shortDigest(image)}, which this hub has no record of: a push or a removal was cut; push it again if it is missed`,
        facts: { image },
      },
    })),
  );
}

export async function isUnrecorded(store: Pick<Store, "findImages">, digest: ImageDigest): Promise<boolean> {
  return (await store.findImages(digest)).length === 0;
}
