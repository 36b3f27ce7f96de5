/**
 * The head of a delta file: between which two images it is, and how long each group is, so that any group can be found before the
 * groups are there.
 *
 *     "DRPDELT1" | from (32 bytes) | to (32 bytes) | length of each group (u32, little-endian) | groups
 *
 * How many groups there are follows from the new image's size, which its signed manifest says.
 */
import { DecodeError } from "../../core/errors.ts";
import type { ImageDigest, Payload } from "../manifest.ts";
import { countGroups } from "./geometry.ts";
import { MAX_GROUP_BYTES } from "./group.ts";

const MAGIC = "DRPDELT1";
const FROM_AT = MAGIC.length;
const TO_AT = FROM_AT + 32;
const LENGTHS_AT = TO_AT + 32;

/** Which two images: a delta of others is refused. */
export interface DeltaBinding {
  readonly from: ImageDigest;
  readonly to: ImageDigest;
  /** Of the new image. */
  readonly payload: Payload;
}

export interface GroupPlace {
  /** In the delta file. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Bytes before the first group: what a receiver reads first. */
export function deltaHeaderBytes(payload: Pick<Payload, "sizeBytes">): number {
  return LENGTHS_AT + 4 * countGroups(payload);
}

export function encodeDeltaHeader(binding: DeltaBinding, groupLengths: readonly number[]): Buffer {
  const header = Buffer.alloc(deltaHeaderBytes(binding.payload));
  header.write(MAGIC, "latin1");
  header.write(hexOf(binding.from), FROM_AT, "hex");
  header.write(hexOf(binding.to), TO_AT, "hex");
  for (const [group, lengthBytes] of groupLengths.entries()) {
    header.writeUInt32LE(lengthBytes, LENGTHS_AT + 4 * group);
  }
  return header;
}

/**
 * @param bytes the file's first deltaHeaderBytes(), or more
 * @returns where each group lies
 * @throws {DecodeError} with the offset: cut off, not a delta, a delta of other images, a group longer than any can be
 */
export function decodeDeltaHeader(bytes: Uint8Array, binding: DeltaBinding): readonly GroupPlace[] {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const neededBytes = deltaHeaderBytes(binding.payload);
  if (header.length < neededBytes) {
    throw new DecodeError(`the delta's header of ${neededBytes} bytes is cut at offset ${header.length}`);
  }
  if (header.toString("latin1", 0, MAGIC.length) !== MAGIC) {
    throw new DecodeError(`the delta does not begin with "${MAGIC}" at offset 0`);
  }
  requireDigest(header, FROM_AT, binding.from, "leads from");
  requireDigest(header, TO_AT, binding.to, "leads to");
  const groups: GroupPlace[] = [];
  let offsetBytes = neededBytes;
  for (let at = LENGTHS_AT; at < neededBytes; at += 4) {
    const lengthBytes = header.readUInt32LE(at);
    if (lengthBytes > MAX_GROUP_BYTES) {
      throw new DecodeError(
        `the delta's group ${groups.length} claims ${lengthBytes} bytes at offset ${at}; at most ${MAX_GROUP_BYTES} are possible`,
      );
    }
    groups.push({ offsetBytes, lengthBytes });
    offsetBytes += lengthBytes;
  }
  return groups;
}

function requireDigest(header: Buffer, at: number, digest: ImageDigest, relation: string): void {
  const found = header.toString("hex", at, at + 32);
  if (found !== hexOf(digest)) {
    throw new DecodeError(`the delta ${relation} sha256:${found} at offset ${at}, not ${digest}`);
  }
}

function hexOf(digest: ImageDigest): string {
  return digest.slice("sha256:".length);
}
