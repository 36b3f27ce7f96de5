/** Removes what no rule keeps and nothing needs: decided from one look at the fleet, and asked again in each removal's commit. */
import { DrpError } from "../core/errors.ts";
import type { Clock } from "../core/time.ts";
import { FreedBytes } from "../images/freed-bytes.ts";
import type { ImageRegistry } from "../images/io/registry.ts";
import type { ImageDigest } from "../images/manifest.ts";
import { parseManifest } from "../images/parse-manifest.ts";
import { decideRetention, type RetentionRule, type RetentionVerdict } from "../images/retention.ts";
import { readAll, readMachines, readOpenRollouts } from "../rollout/io/load-fleet.ts";
import type { ImageRecord, NewEvent, Store } from "../store/ports.ts";
import { isUnrecorded } from "./adopt-unrecorded-images.ts";

const PAGE = 500;

export interface PruneDeps {
  readonly store: Store;
  readonly registry: Pick<ImageRegistry, "manifest" | "remove">;
  readonly clock: Clock;
}

export interface PruneReport {
  readonly verdicts: readonly RetentionVerdict<ImageRecord>[];
  /** Of the raw images: chunks that no image has that stays, each once. */
  readonly freedBytes: number;
}

/** Changes nothing. */
export async function planPrune(deps: PruneDeps, rule: RetentionRule): Promise<PruneReport> {
  const verdicts = await decidePrune(deps, rule);
  return { verdicts, freedBytes: await measureFreed(deps, verdicts) };
}

/** Which images would go, without reading their manifests. */
export async function decidePrune(
  { store, clock }: Pick<PruneDeps, "store" | "clock">,
  rule: RetentionRule,
): Promise<RetentionVerdict<ImageRecord>[]> {
  const images = await readAll(
    after => store.listImages({ limit: PAGE, ...after }),
    image => image.digest,
  );
  const needs = {
    tags: await store.listImageTags(),
    machines: await readMachines(store),
    sites: await readAll(
      after => store.listSites({ limit: PAGE, ...after }),
      site => site.name,
    ),
    openRollouts: await readOpenRollouts(store),
    previous: await store.listPreviousImages(),
    denied: await store.listDeniedImages(),
  };
  return decideRetention(images, needs, rule, clock());
}

/**
 * @param toEvent the line of the log that goes with each removal
 * @returns what was decided, and what became of it: an image that came to be needed meanwhile stays and says so
 */
export async function pruneImages(
  deps: PruneDeps,
  rule: RetentionRule,
  toEvent: (image: ImageRecord, reason: string) => NewEvent,
): Promise<PruneReport> {
  const { store, registry } = deps;
  const verdicts: RetentionVerdict<ImageRecord>[] = [];
  for (const verdict of await decidePrune(deps, rule)) {
    verdicts.push(verdict.keep ? verdict : await removeUnneeded(store, verdict, toEvent));
  }
  const freedBytes = await measureFreed(deps, verdicts);
  for (const { image, keep } of verdicts) {
    if (!keep) await registry.remove(image.digest, () => isUnrecorded(store, image.digest));
  }
  return { verdicts, freedBytes };
}

async function removeUnneeded(
  store: Store,
  verdict: RetentionVerdict<ImageRecord>,
  toEvent: (image: ImageRecord, reason: string) => NewEvent,
): Promise<RetentionVerdict<ImageRecord>> {
  const { image, reason } = verdict;
  const outcome = await store.commit([
    { kind: "delete-image", digest: image.digest, keepPrevious: true },
    { kind: "append-event", event: toEvent(image, reason) },
  ]);
  if (outcome.kind === "committed" || outcome.reason === "missing") return verdict;
  return { image, keep: true, reason: "came to be needed just now" };
}

async function measureFreed(
  { registry }: PruneDeps,
  verdicts: readonly RetentionVerdict<ImageRecord>[],
): Promise<number> {
  const freed = new FreedBytes();
  const read = async (digest: ImageDigest) => {
    // One that has rotted counts for nothing here; a scrub names it, and it must not keep the others from going.
    const signed = await registry.manifest(digest).catch(unlessDamaged);
    return signed === undefined ? undefined : parseManifest(signed.manifestText);
  };
  for (const removed of [true, false]) {
    for (const { image, keep } of verdicts) {
      const manifest = keep === removed ? undefined : await read(image.digest);
      if (manifest === undefined) continue;
      if (removed) freed.addRemoved(manifest);
      else freed.subtractKept(manifest);
    }
    if (freed.total === 0) return 0;
  }
  return freed.total;
}

function unlessDamaged(error: unknown): undefined {
  if (!(error instanceof DrpError && error.code === "storage.damaged")) throw error;
}
