/** What two manifests say differently: how the image boots, what proves its health, what travels with it, which chunks it has. */
import { canonicalText } from "../canonical.ts";
import { chunkLength } from "../chunker.ts";
import type { Manifest, Payload } from "../manifest.ts";

/** Names, each list in the order of its manifest. */
export interface NameChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export interface ManifestChanges {
  readonly kernelArguments: NameChanges;
  readonly healthChecks: NameChanges;
  /** Hooks and the bill of materials, by their names in the bundle. */
  readonly attachments: NameChanges;
}

export function compareManifests(before: Manifest, after: Manifest): ManifestChanges {
  const asNamed = (name: string) => ({ name });
  return {
    kernelArguments: compareNamed(before.kernelArguments.map(asNamed), after.kernelArguments.map(asNamed)),
    healthChecks: compareNamed(before.healthChecks, after.healthChecks),
    attachments: compareNamed(before.attachments, after.attachments),
  };
}

function compareNamed<T extends { readonly name: string }>(
  before: readonly T[],
  after: readonly T[],
): NameChanges {
  const older = new Map(before.map(item => [item.name, canonicalText(item)]));
  const newer = new Map(after.map(item => [item.name, canonicalText(item)]));
  return {
    added: [...newer.keys()].filter(name => !older.has(name)),
    removed: [...older.keys()].filter(name => !newer.has(name)),
    changed: [...newer].filter(([name, text]) => (older.get(name) ?? text) !== text).map(([name]) => name),
  };
}

/** Of the raw images, in bytes; zeros count nowhere. */
export interface ChunkTotals {
  /** Of `after`: in chunks that `before` has as well, wherever they lie. */
  readonly sharedBytes: number;
  /** Of `after`: in chunks that `before` has not. */
  readonly newBytes: number;
  /** Of `before`: in chunks that `after` has not. */
  readonly goneBytes: number;
}

export function compareChunks(before: Payload, after: Payload): ChunkTotals {
  const inAfter = countChunks(after, new Set(before.chunks));
  const inBefore = countChunks(before, new Set(after.chunks));
  return { sharedBytes: inAfter.known, newBytes: inAfter.unknown, goneBytes: inBefore.unknown };
}

function countChunks(payload: Payload, known: ReadonlySet<string | null>) {
  const totals = { known: 0, unknown: 0 };
  for (const [index, digest] of payload.chunks.entries()) {
    if (digest === null) continue;
    totals[known.has(digest) ? "known" : "unknown"] += chunkLength(payload, index);
  }
  return totals;
}
