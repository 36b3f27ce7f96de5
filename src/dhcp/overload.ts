/**
 * Which options go into which field of a message once the options field alone is too small (option overload, RFC 2132 §9.3).
 * Knows sizes, not offsets.
 */
import { type DhcpOptions, OPTION, type OptionEntry } from "./options.ts";

/** An option's length is one byte; longer values are sent in parts (RFC 3396). */
export const MAX_PART_BYTES = 255;
const PART_HEADER_BYTES = 2;

/** Bytes for options in each field. */
export interface OptionRoom {
  readonly field: number;
  readonly file: number;
  readonly sname: number;
}

export interface PackedOptions {
  readonly field: OptionEntry[];
  readonly file: OptionEntry[];
  readonly sname: OptionEntry[];
  /** Whether the options field stays within its room. */
  readonly fits: boolean;
}

/** An empty value is one empty part. */
export function encodedOptionBytes(value: Uint8Array): number {
  return Math.max(1, Math.ceil(value.length / MAX_PART_BYTES)) * PART_HEADER_BYTES + value.length;
}

/**
 * Each option whole into the first field that has room for it, because old clients join no parts. Only one that is longer than
 * every field goes on from field to field, in the order in which a receiver joins them (RFC 3396 §5). What is left over makes
 * the options field too long.
 *
 * Option 82 is the last of the options field, and whole: a relay looks for it nowhere else (RFC 3046 §2.1).
 */
export function packOptions(options: DhcpOptions, room: OptionRoom): PackedOptions {
  const relayAgent = options.get(OPTION.relayAgent);
  const reserved = relayAgent === undefined ? 0 : encodedOptionBytes(relayAgent);
  const field = new Field(room.field - reserved);
  const fields = [field, new Field(room.file), new Field(room.sname)] as const;
  const largest = Math.max(...fields.map(({ left }) => left));
  for (const entry of options) {
    if (entry[0] === OPTION.relayAgent) continue;
    const bytes = encodedOptionBytes(entry[1]);
    const whole = fields.find(({ left }) => bytes <= left);
    if (whole !== undefined) whole.put(entry);
    else if (bytes > largest) putInParts(entry, fields);
    else field.put(entry);
  }
  if (relayAgent !== undefined) field.entries.push([OPTION.relayAgent, relayAgent]);
  const [, file, sname] = fields;
  return { field: field.entries, file: file.entries, sname: sname.entries, fits: field.left >= 0 };
}

class Field {
  left: number;
  readonly entries: OptionEntry[] = [];

  constructor(room: number) {
    this.left = room;
  }

  put(entry: OptionEntry): void {
    this.left -= encodedOptionBytes(entry[1]);
    this.entries.push(entry);
  }
}

function putInParts([code, value]: OptionEntry, fields: readonly [Field, Field, Field]): void {
  const [field] = fields;
  const roomBytes = fields.reduce((sum, { left }) => sum + valueBytesIn(left), 0);
  // What does not fit anywhere lengthens the options field, and is not torn apart besides.
  if (roomBytes < value.length) {
    field.put([code, value]);
    return;
  }
  let rest = value;
  for (const next of fields) {
    const length = Math.min(valueBytesIn(next.left), rest.length);
    if (length === 0) continue;
    next.put([code, rest.subarray(0, length)]);
    rest = rest.subarray(length);
  }
}

/** How much of a value goes into so many bytes, a header before each part. */
function valueBytesIn(left: number): number {
  const wholeParts = Math.floor(Math.max(left, 0) / (MAX_PART_BYTES + PART_HEADER_BYTES));
  const last = Math.max(left, 0) % (MAX_PART_BYTES + PART_HEADER_BYTES);
  return wholeParts * MAX_PART_BYTES + Math.max(0, last - PART_HEADER_BYTES);
}
