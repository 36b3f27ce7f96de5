/** The extended header of a tar entry (IEEE Std 1003.1, pax, "pax Extended Header"): records of "LENGTH KEY=VALUE\n". */
import { DecodeError } from "../core/errors.ts";
import { parseAclText } from "./posix-acl.ts";

/** Values are bytes: an extended attribute is no text. Keys may repeat (GNU's sparse format 0.0). */
export type PaxRecord = readonly [key: string, value: Buffer];

/** 20 digits are more than any length has. */
const MAX_LENGTH_DIGITS = 20;

/** @throws {DecodeError} with the offset in the header */
export function decodePaxRecords(bytes: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    const fail = (what: string) =>
      new DecodeError(`has an extended header whose record at byte ${at} ${what}`);
    const blank = bytes.subarray(at, at + MAX_LENGTH_DIGITS + 1).indexOf(0x20);
    const digits = bytes.toString("latin1", at, at + Math.max(blank, 0));
    if (!/^[0-9]+$/.test(digits)) throw fail("does not begin with its length");
    const end = at + Number(digits);
    const start = at + blank + 1;
    if (end > bytes.length || end <= start || bytes[end - 1] !== 0x0a)
      throw fail(`has not its ${digits} bytes`);
    const equals = bytes.subarray(start, end).indexOf(0x3d);
    if (equals < 1) throw fail("has no key");
    records.push([
      bytes.toString("latin1", start, start + equals),
      Buffer.from(bytes.subarray(start + equals + 1, end - 1)),
    ]);
    at = end;
  }
  return records;
}

const SCHILY_XATTR = "SCHILY.xattr.";
const LIBARCHIVE_XATTR = "LIBARCHIVE.xattr.";
const SELINUX = "RHT.security.selinux";
/** GNU tar and star write these as text. */
const ACLS = new Map([
  ["SCHILY.acl.access", "system.posix_acl_access"],
  ["SCHILY.acl.default", "system.posix_acl_default"],
]);

/**
 * Extended attributes by their full names: SCHILY's raw values (GNU tar, Docker, star), and libarchive's in base64, which
 * bsdtar writes beside them; access control lists as the kernel hands them out.
 *
 * @throws {DecodeError}
 */
export function collectXattrs(records: readonly PaxRecord[]): Map<string, Buffer> {
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of records) {
    if (key.startsWith(SCHILY_XATTR)) xattrs.set(key.slice(SCHILY_XATTR.length), value);
    const acl = ACLS.get(key);
    if (acl !== undefined && value.length > 0) xattrs.set(acl, parseAclText(value.toString("latin1")));
    if (key === SELINUX) xattrs.set("security.selinux", value);
  }
  for (const [key, value] of records) {
    if (!key.startsWith(LIBARCHIVE_XATTR)) continue;
    const name = unescapePercent(key.slice(LIBARCHIVE_XATTR.length));
    if (!xattrs.has(name)) xattrs.set(name, Buffer.from(value.toString("latin1"), "base64"));
  }
  return xattrs;
}

function unescapePercent(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
