/** Compares images that the registry keeps: one pair at a time, beside everything else that the hub does. */
import { setImmediate } from "node:timers/promises";
import { DrpError } from "../../core/errors.ts";
import { compareImages, type ImageComparison } from "../diff/compare-images.ts";
import { compareManifests, type ManifestChanges } from "../diff/compare-manifests.ts";
import type { ImageDigest, Manifest } from "../manifest.ts";
import { parseManifest } from "../parse-manifest.ts";
import type { ImageRegistry } from "./registry.ts";

export interface ImageDiff extends ImageComparison {
  readonly before: Manifest;
  readonly after: Manifest;
  readonly manifest: ManifestChanges;
}

/** How long the event loop may be held: below what anyone notices at a boot. */
const HOLD_MS = 10;
/** Two images of 64 GiB with nothing in common; a usual pair takes seconds. */
const LIMIT_MS = 600_000;

export class DiffDesk {
  readonly #registry: Pick<ImageRegistry, "manifest" | "openImage">;
  /** Each holds a hundred MiB of chunks at most: one after another, however many ask. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(registry: Pick<ImageRegistry, "manifest" | "openImage">) {
    this.#registry = registry;
  }

  /**
   * @param gone aborted when nobody waits for the answer any more
   * @throws {DrpError} image.unknown, timed-out; the signal's reason; what reading a chunk throws
   */
  compare(before: ImageDigest, after: ImageDigest, gone: AbortSignal): Promise<ImageDiff> {
    const turn = this.#last.then(() => this.#compare(before, after, gone));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #compare(before: ImageDigest, after: ImageDigest, gone: AbortSignal): Promise<ImageDiff> {
    gone.throwIfAborted();
    const [older, newer] = [await this.#manifest(before), await this.#manifest(after)];
    const readers = [await this.#registry.openImage(before), await this.#registry.openImage(after)];
    const [left, right] = readers;
    if (left === undefined || right === undefined) throw removedMeanwhile();
    const breathe = takeTurns(gone);
    const comparison = await compareImages(left, right, breathe);
    return { before: older, after: newer, manifest: compareManifests(older, newer), ...comparison };
  }

  async #manifest(digest: ImageDigest): Promise<Manifest> {
    const signed = await this.#registry.manifest(digest);
    if (signed === undefined) throw removedMeanwhile();
    return parseManifest(signed.manifestText);
  }
}

function removedMeanwhile(): DrpError {
  return new DrpError("image.unknown", "one of the images was removed meanwhile");
}

function takeTurns(gone: AbortSignal): () => Promise<void> {
  const startedAt = performance.now();
  let resumedAt = startedAt;
  return async () => {
    if (performance.now() - resumedAt < HOLD_MS) return;
    await setImmediate();
    gone.throwIfAborted();
    resumedAt = performance.now();
    if (resumedAt - startedAt < LIMIT_MS) return;
    throw new DrpError("timed-out", `the images could not be compared within ${LIMIT_MS / 60_000} minutes`, {
      advice: "Try again when the hub has less to do.",
    });
  };
}
