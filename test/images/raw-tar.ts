/** Tars byte by byte: what no tar program would write, and binary values that none would keep. */

export interface RawEntry {
  readonly name: string;
  readonly type?: string;
  readonly content?: Buffer | string;
  readonly linkName?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly mtime?: number;
  readonly device?: readonly [major: number, minor: number];
  /** What the header claims, where it is not the content's. */
  readonly sizeField?: string;
  readonly pax?: readonly (readonly [key: string, value: Buffer | string])[];
}

/** Two blocks of zeros at the end. */
export function rawTar(...entries: readonly RawEntry[]): Buffer {
  return Buffer.concat([...entries.map(encodeEntry), Buffer.alloc(1024)]);
}

export function encodeEntry(entry: RawEntry): Buffer {
  const content = Buffer.from(entry.content ?? "");
  const pax =
    entry.pax === undefined
      ? Buffer.alloc(0)
      : encodeEntry({ name: "pax", type: "x", content: paxRecords(entry.pax) });
  const block = Buffer.alloc(512);
  block.write(entry.name, 0, 100, "latin1");
  const octal = (value: number, at: number, digits: number) =>
    block.write(`${value.toString(8).padStart(digits, "0")}\0`, at, "latin1");
  octal(entry.mode ?? 0o644, 100, 7);
  octal(entry.uid ?? 0, 108, 7);
  octal(0, 116, 7);
  if (entry.sizeField === undefined) octal(content.length, 124, 11);
  else block.write(entry.sizeField, 124, 12, "latin1");
  octal(entry.mtime ?? 1_700_000_000, 136, 11);
  block.write(entry.type ?? "0", 156, "latin1");
  block.write(entry.linkName ?? "", 157, 100, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  octal(entry.device?.[0] ?? 0, 329, 7);
  octal(entry.device?.[1] ?? 0, 337, 7);
  return Buffer.concat([pax, sealed(block), content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

/** Sets the checksum to fit. */
export function sealed(block: Buffer): Buffer {
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function paxRecords(records: NonNullable<RawEntry["pax"]>): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
      let length = rest.length + 1;
      while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}
