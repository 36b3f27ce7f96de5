/**
 * The header of a qcow2 image (QEMU's docs/interop/qcow2.txt, versions 2 and 3), read strictly. What would make a reader open
 * another file, or believe damaged tables, is refused with the reason: an image is a stranger's data (CVE-2024-44082).
 */
import { formatBytes } from "../core/bytes.ts";
import { DecodeError } from "../core/errors.ts";
import { CHUNK_BYTES, MAX_CHUNKS } from "./manifest.ts";

/** QEMU's own limit of a cluster, 2 MiB: the header with its extensions fits into the first one. */
export const QCOW2_HEAD_BYTES = 2 * 1024 * 1024;

/** Where a qcow2 image keeps what a guest reads. */
export interface Qcow2Layout {
  readonly kind: "readable";
  readonly version: 2 | 3;
  /** Of the disk that a guest sees. */
  readonly sizeBytes: number;
  /** Of the image file. */
  readonly fileBytes: number;
  /** 9 to 21. */
  readonly clusterBits: number;
  readonly l1OffsetBytes: number;
  /** What the size needs; a longer table holds the state of a machine behind it. */
  readonly l1Entries: number;
  readonly compression: "deflate" | "zstd";
  /** 16 bytes an L2 entry, 32 subclusters a cluster. */
  readonly extendedL2: boolean;
}

/** An image that is whole, as far as is known, and is not taken. */
export interface Qcow2Refusal {
  readonly kind: "refused";
  /** Completes "the qcow2 image …". */
  readonly why: string;
  readonly advice: string;
}

const V2_HEADER_BYTES = 72;
const V3_HEADER_BYTES = 104;
const MIN_CLUSTER_BITS = 9;
const MAX_CLUSTER_BITS = 21;
const MIN_EXTENDED_CLUSTER_BITS = 14;
const EXTERNAL_DATA_FILE_EXTENSION = 0x44415441;

const DIRTY = 1n;
const CORRUPT = 2n;
const EXTERNAL_DATA = 4n;
const COMPRESSION_TYPE = 8n;
const EXTENDED_L2 = 16n;
const KNOWN_FEATURES = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;

const FLATTEN =
  "Make one file of it where its other files are trusted: qemu-img convert -O qcow2 IMAGE FLAT.qcow2.";

/**
 * @param head the first QCOW2_HEAD_BYTES of the file, or all of a shorter one
 * @param fileBytes of the whole file
 * @throws {DecodeError} with the offset in bytes
 */
export function parseQcow2Header(head: Buffer, fileBytes: number): Qcow2Layout | Qcow2Refusal {
  if (head.length < V2_HEADER_BYTES) {
    throw new DecodeError(`the qcow2 header is cut after ${head.length} of ${V2_HEADER_BYTES} bytes`);
  }
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new DecodeError(`byte 4: qcow2 version ${version} is not known`);
  const clusterBits = head.readUInt32BE(20);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    throw new DecodeError(`byte 20: clusters of 2^${clusterBits} bytes, not of 2^9 to 2^21`);
  }
  const features = version === 2 ? V2_FEATURES : readFeatures(head, clusterBits);
  return refuse(head, features) ?? locateTables(head, version, clusterBits, features, fileBytes);
}

interface Features {
  readonly incompatible: bigint;
  readonly compressionType: number;
  readonly namesExternalData: boolean;
}
const V2_FEATURES: Features = { incompatible: 0n, compressionType: 0, namesExternalData: false };

function readFeatures(head: Buffer, clusterBits: number): Features {
  if (head.length < V3_HEADER_BYTES) {
    throw new DecodeError(`the qcow2 header is cut after ${head.length} of ${V3_HEADER_BYTES} bytes`);
  }
  const headerBytes = head.readUInt32BE(100);
  const end = Math.min(head.length, 2 ** clusterBits);
  if (headerBytes < V3_HEADER_BYTES || headerBytes % 8 !== 0 || headerBytes > end) {
    throw new DecodeError(`byte 100: a header of ${headerBytes} bytes is not possible`);
  }
  const refcountOrder = head.readUInt32BE(96);
  if (refcountOrder > 6) throw new DecodeError(`byte 96: reference counts of 2^${refcountOrder} bits`);
  return {
    incompatible: head.readBigUInt64BE(72),
    compressionType: headerBytes > V3_HEADER_BYTES ? head.readUInt8(104) : 0,
    namesExternalData: hasExtension(head.subarray(0, end), headerBytes, EXTERNAL_DATA_FILE_EXTENSION),
  };
}

function hasExtension(firstCluster: Buffer, from: number, wanted: number): boolean {
  for (let offset = from; offset + 8 <= firstCluster.length; ) {
    const kind = firstCluster.readUInt32BE(offset);
    if (kind === 0) return false;
    if (kind === wanted) return true;
    const lengthBytes = firstCluster.readUInt32BE(offset + 4);
    const next = offset + 8 + Math.ceil(lengthBytes / 8) * 8;
    if (next > firstCluster.length) {
      throw new DecodeError(
        `byte ${offset}: a header extension of ${lengthBytes} bytes leaves the first cluster`,
      );
    }
    offset = next;
  }
  return false;
}

function refuse(head: Buffer, features: Features): Qcow2Refusal | undefined {
  const { incompatible } = features;
  const no = (why: string, advice: string): Qcow2Refusal => ({ kind: "refused", why, advice });
  if (head.readBigUInt64BE(8) !== 0n)
    return no("has a backing file: its content lies in another file", FLATTEN);
  if ((incompatible & EXTERNAL_DATA) !== 0n || features.namesExternalData) {
    return no("has an external data file: its content lies in another file", FLATTEN);
  }
  if (head.readUInt32BE(32) !== 0) {
    return no(
      "is encrypted",
      "Give it without encryption: qemu-img convert with the secret, on a host that may know it.",
    );
  }
  const unknown = incompatible & ~KNOWN_FEATURES;
  if (unknown !== 0n) {
    const bits = Array.from({ length: 64 }, (_, bit) => bit).filter(
      bit => ((unknown >> BigInt(bit)) & 1n) === 1n,
    );
    return no(
      `needs features that are not known here: incompatible bit ${bits.join(", ")}`,
      "Convert it to raw with the QEMU that made it.",
    );
  }
  if ((incompatible & (CORRUPT | DIRTY)) !== 0n) {
    return no(
      `is marked as ${(incompatible & CORRUPT) === 0n ? "in use, or not closed after its last use" : "corrupt"}`,
      "Stop what uses it, then repair it: qemu-img check -r all IMAGE.",
    );
  }
  return undefined;
}

function locateTables(
  head: Buffer,
  version: 2 | 3,
  clusterBits: number,
  { incompatible, compressionType }: Features,
  fileBytes: number,
): Qcow2Layout | Qcow2Refusal {
  const clusterBytes = 2 ** clusterBits;
  const extendedL2 = (incompatible & EXTENDED_L2) !== 0n;
  if (extendedL2 && clusterBits < MIN_EXTENDED_CLUSTER_BITS) {
    throw new DecodeError(`byte 20: clusters of ${clusterBytes} bytes cannot have subclusters`);
  }
  if (compressionType > 1 || compressionType > 0 !== ((incompatible & COMPRESSION_TYPE) !== 0n)) {
    throw new DecodeError(`byte 104: compression type ${compressionType} does not fit the feature bits`);
  }
  const size = head.readBigUInt64BE(24);
  if (size > MAX_CHUNKS * CHUNK_BYTES) {
    return {
      kind: "refused",
      why: `claims a disk of ${formatBytes(Number(size))}; at most ${formatBytes(MAX_CHUNKS * CHUNK_BYTES)} are taken`,
      advice: "Shrink the file system and the disk: qemu-img resize --shrink IMAGE SIZE.",
    };
  }
  const sizeBytes = Number(size);
  const l1Entries = Math.ceil(sizeBytes / clusterBytes / l2EntryCount(clusterBits, extendedL2));
  if (head.readUInt32BE(36) < l1Entries) {
    throw new DecodeError(
      `byte 36: an L1 table of ${head.readUInt32BE(36)} entries; the disk needs ${l1Entries}`,
    );
  }
  const l1Offset = head.readBigUInt64BE(40);
  const l1OffsetBytes = Number(l1Offset);
  if (l1Entries > 0 && (l1OffsetBytes % clusterBytes !== 0 || l1OffsetBytes === 0)) {
    throw new DecodeError(`byte 40: the L1 table at byte ${l1Offset} is not on a cluster of its own`);
  }
  if (l1OffsetBytes + l1Entries * 8 > fileBytes && l1Entries > 0) {
    throw new DecodeError(
      `byte 40: the L1 table at byte ${l1Offset} leaves the file, which ends at ${fileBytes}`,
    );
  }
  return {
    ...{ kind: "readable", version, sizeBytes, fileBytes, clusterBits, l1OffsetBytes, l1Entries, extendedL2 },
    compression: compressionType === 1 ? "zstd" : "deflate",
  };
}

/** An L2 table fills one cluster. */
export function l2EntryCount(clusterBits: number, extendedL2: boolean): number {
  return 2 ** clusterBits / (extendedL2 ? 16 : 8);
}
