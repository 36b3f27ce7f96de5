/** DHCP messages laid out by hand, option by option, as odd clients send them: our own encoder has no part in it. */
import { parseIpv4 } from "../../../../src/core/ipv4.ts";

export interface RawMessage {
  readonly htype?: number;
  /** Hexadecimal; empty: none. */
  readonly chaddr: string;
  readonly broadcast?: boolean;
  readonly secs?: number;
  readonly hops?: number;
  readonly ciaddr?: string;
  readonly giaddr?: string;
  /** Raw bytes of the field: overloaded options, say. */
  readonly sname?: Uint8Array;
  readonly file?: Uint8Array;
  /** As it stands in the options field, the end option included where it has one; null: not even DHCP's cookie. */
  readonly options: Uint8Array | null;
}

/** As long as BOOTP has it (RFC 951): 300 bytes at least. */
export function rawMessage(message: RawMessage): Uint8Array {
  const chaddr = Buffer.from(message.chaddr, "hex");
  const head = Buffer.alloc(236);
  head.set([1, message.htype ?? 1, chaddr.length, message.hops ?? 0]);
  // From the address: the same in each run.
  head.writeUInt32BE(
    Buffer.concat([chaddr, Buffer.from([7, 7, 7, 7])]).readUInt32BE(Math.max(0, chaddr.length - 4)),
    4,
  );
  head.writeUInt16BE(message.secs ?? 0, 8);
  head.writeUInt16BE(message.broadcast === true ? 0x8000 : 0, 10);
  head.writeUInt32BE(address(message.ciaddr), 12);
  head.writeUInt32BE(address(message.giaddr), 24);
  head.set(chaddr, 28);
  head.set(message.sname ?? [], 44);
  head.set(message.file ?? [], 108);
  const cookie = message.options === null ? [] : [0x63, 0x82, 0x53, 0x63];
  const whole = Buffer.concat([head, Buffer.from(cookie), message.options ?? Buffer.alloc(0)]);
  return Buffer.concat([whole, Buffer.alloc(Math.max(0, 300 - whole.length))]);
}

function address(text = "0.0.0.0"): number {
  const value = parseIpv4(text);
  if (value === undefined) throw new Error(`${text} is not an address`);
  return value;
}

/** One option: code, length, value. Text is a byte a character; a number is one byte; "10.0.0.1" in ip(). */
export function option(code: number, ...value: (string | number | Uint8Array)[]): Uint8Array {
  const bytes = join(...value);
  return join(code, bytes.length, bytes);
}

export function join(...parts: (string | number | Uint8Array)[]): Buffer {
  return Buffer.concat(
    parts.map(part => {
      if (typeof part === "number") return Buffer.of(part);
      return typeof part === "string" ? Buffer.from(part, "latin1") : part;
    }),
  );
}

export function ip(text: string): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address(text));
  return bytes;
}

export const END = Uint8Array.of(255);
