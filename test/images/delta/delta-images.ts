/** Pairs of small images for deltas, in memory, and a delta between them. */

import { encodeDelta } from "../../../src/images/delta/encode.ts";
import { encodeDeltaHeader } from "../../../src/images/delta/header.ts";
import type { ImageReader } from "../../../src/images/image-reader.ts";
import { deltaCodec } from "../../../src/images/io/delta-codec.ts";
import type { ImageDigest } from "../../../src/images/manifest.ts";
import { cut, manifestOf } from "../bundles.ts";

export const FROM: ImageDigest = `sha256:${"1".repeat(64)}`;
export const TO: ImageDigest = `sha256:${"2".repeat(64)}`;

export function readerOf(image: Buffer): ImageReader {
  const [payload] = manifestOf(image).payloads;
  if (payload === undefined) throw new Error("a manifest has a payload");
  const chunks = cut(image);
  return {
    payload,
    readChunk: async index => (payload.chunks[index] === null ? null : (chunks[index] ?? null)),
  };
}

/** The whole delta file, as it would lie on a disk. */
export async function encodeWhole(from: ImageReader, to: ImageReader): Promise<Buffer> {
  const groups: Buffer[] = [];
  for await (const group of encodeDelta(from, to, deltaCodec)) groups.push(group);
  const header = encodeDeltaHeader(
    { from: FROM, to: TO, payload: to.payload },
    groups.map(group => group.length),
  );
  return Buffer.concat([header, ...groups]);
}
