/**
 * TFTP packets of both directions, and a transfer's data and acknowledgements as one line. The product's decoder knows what
 * a server gets; here the server's packets are read too (RFC 1350 §5, RFC 2347).
 */
import { decodeTftp } from "../../../src/pxe/tftp-packet.ts";

export type SeenTftp =
  | { readonly kind: "told"; readonly line: string }
  | { readonly kind: "data"; readonly block: number; readonly sizeBytes: number }
  | { readonly kind: "ack"; readonly block: number };

const OPCODE = { data: 3, optionAck: 6 } as const;

/** @throws {DecodeError} where it is no TFTP packet */
export function readTftp(payload: Uint8Array): SeenTftp {
  const bytes = Buffer.from(payload);
  const opcode = bytes.length < 4 ? 0 : bytes.readUInt16BE(0);
  if (opcode === OPCODE.data)
    return { kind: "data", block: bytes.readUInt16BE(2), sizeBytes: bytes.length - 4 };
  if (opcode === OPCODE.optionAck)
    return { kind: "told", line: `OACK${optionText(stringPairs(bytes.subarray(2)))}` };
  const packet = decodeTftp(bytes);
  switch (packet.kind) {
    case "ack":
      return { kind: "ack", block: packet.block };
    case "error":
      return { kind: "told", line: `ERROR ${packet.code} ${packet.message}` };
    default: {
      const request = packet.kind === "read" ? "RRQ" : "WRQ";
      return {
        kind: "told",
        line: `${request} ${packet.fileName} ${packet.mode}${optionText(packet.options)}`,
      };
    }
  }
}

function stringPairs(bytes: Buffer): [string, string][] {
  const strings = bytes.toString("latin1").split("\0");
  return Array.from({ length: Math.floor(strings.length / 2) }, (_, index) => [
    strings[index * 2] ?? "",
    strings[index * 2 + 1] ?? "",
  ]);
}

function optionText(options: Iterable<readonly [string, string]>): string {
  return [...options].map(([name, value]) => ` ${name}=${value}`).join("");
}

/** The data and acknowledgements of one transfer: block numbers are counted on beyond 65,535. */
export class TransferRun {
  private readonly sizes = new Map<number, number>();
  private readonly acknowledged = new Set<number>();
  private newest = 0;

  add(packet: Exclude<SeenTftp, { kind: "told" }>): void {
    const block = this.unwrap(packet.block);
    if (packet.kind === "ack") this.acknowledged.add(block);
    else this.sizes.set(block, packet.sizeBytes);
  }

  /** "DATA 1…391 of 512 bytes, the last 320; ACK each"; packets that were sent again are not told. */
  toString(): string {
    const blocks = [...this.sizes.keys()].sort((a, b) => a - b);
    const [first = 0, last = 0] = [blocks[0], blocks.at(-1)];
    const acks = [...this.acknowledged].sort((a, b) => a - b);
    if (blocks.length === 0) return `ACK ${acks.join(", ")}`;
    const gaps = last - first + 1 - blocks.length;
    return [
      first === last
        ? `DATA ${first} of ${this.sizes.get(first)} bytes`
        : `DATA ${first}…${last} of ${this.sizes.get(first)} bytes, the last ${this.sizes.get(last)}`,
      ...(gaps === 0 ? [] : [`${gaps} blocks not seen`]),
      ackText(acks, first, last),
    ].join("; ");
  }

  /** Sixteen bits on the wire: the number nearest to the newest one. */
  private unwrap(block: number): number {
    const ROUND = 0x10000;
    const base = this.newest - (this.newest % ROUND) + block;
    const candidates = [base - ROUND, base, base + ROUND].filter(candidate => candidate >= 0);
    const nearest = candidates.reduce((best, candidate) =>
      Math.abs(candidate - this.newest) < Math.abs(best - this.newest) ? candidate : best,
    );
    this.newest = Math.max(this.newest, nearest);
    return nearest;
  }
}

/** Zero answers an OACK and no block. */
function ackText(acks: readonly number[], first: number, last: number): string {
  const start = acks[0] === 0 ? "ACK 0, " : "ACK ";
  const blocks = acks.filter(block => block > 0);
  const [earliest] = blocks;
  if (earliest === undefined) return `${start}none`;
  if (blocks.length === last - first + 1) return `${start}each`;
  const windowBlocks = earliest - first + 1;
  const regular = blocks.every(
    (block, index) => block === Math.min(first - 1 + (index + 1) * windowBlocks, last),
  );
  if (regular) return `${start}each ${windowBlocks}th${blocks.at(-1) === last ? " and the last" : ""}`;
  const MANY = 10;
  return `${start}${blocks.length > MANY ? `of ${blocks.length} blocks` : blocks.join(", ")}`;
}
