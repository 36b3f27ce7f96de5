/** Reads the two facts that a build needs from 64-bit little-endian ELF files: a program's libraries, a module's notes. */

const ELF_MAGIC = 0x464c457f;
const SECTION_HEADER_BYTES = 64;
const DYNAMIC_ENTRY_BYTES = 16;
const DT_NEEDED = 1n;

/** True for ELF; false for a script. */
export function isElf(file: Buffer): boolean {
  return file.length >= 64 && file.readUInt32LE(0) === ELF_MAGIC;
}

/** Names of the shared libraries that the program or library asks for: "libc.so.6". */
export function readNeededLibraries(file: Buffer): string[] {
  const dynamic = findSection(file, ".dynamic");
  const strings = findSection(file, ".dynstr");
  if (dynamic === undefined || strings === undefined) return [];
  const needed: string[] = [];
  for (let offset = 0; offset + DYNAMIC_ENTRY_BYTES <= dynamic.length; offset += DYNAMIC_ENTRY_BYTES) {
    if (dynamic.readBigUInt64LE(offset) !== DT_NEEDED) continue;
    needed.push(readString(strings, Number(dynamic.readBigUInt64LE(offset + 8))));
  }
  return needed;
}

/** A kernel module's `key=value` notes in order: alias, depends, softdep, name … */
export function readModuleNotes(file: Buffer): [key: string, value: string][] {
  const notes = findSection(file, ".modinfo")?.toString("latin1").split("\0") ?? [];
  return notes
    .filter(note => note.includes("="))
    .map(note => [note.slice(0, note.indexOf("=")), note.slice(note.indexOf("=") + 1)]);
}

function findSection(file: Buffer, name: string): Buffer | undefined {
  const tableOffset = Number(file.readBigUInt64LE(0x28));
  const count = file.readUInt16LE(0x3c);
  const names = sectionAt(file, tableOffset + file.readUInt16LE(0x3e) * SECTION_HEADER_BYTES);
  for (let index = 0; index < count; index++) {
    const header = tableOffset + index * SECTION_HEADER_BYTES;
    if (readString(names, file.readUInt32LE(header)) === name) return sectionAt(file, header);
  }
  return undefined;
}

function sectionAt(file: Buffer, header: number): Buffer {
  const offset = Number(file.readBigUInt64LE(header + 0x18));
  return file.subarray(offset, offset + Number(file.readBigUInt64LE(header + 0x20)));
}

function readString(table: Buffer, offset: number): string {
  return table.toString("latin1", offset, table.indexOf(0, offset));
}
