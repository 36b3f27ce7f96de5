/** Groups of clients that get options of their own, told apart by what they say of themselves. */
import type { ClientKey } from "./client-key.ts";
import { type DhcpOptions, OPTION, type OptionEntry, readText, readUint16 } from "./options.ts";

/** Every field that is given must match; an empty match takes every client. */
export interface ClassMatch {
  /** Option 60 begins with it. */
  readonly vendorClass?: string;
  /** Option 77, as iPXE sends it or by RFC 3004. */
  readonly userClass?: string;
  /** Option 93 (IANA's processor architecture types). */
  readonly architecture?: number;
  /** The first octets of the hardware address, as "b8:27:eb". */
  readonly macPrefix?: string;
}

export interface ClientClass {
  readonly name: string;
  readonly match: ClassMatch;
  readonly options: readonly OptionEntry[];
}

/** @param options of the client's message */
export function matchesClass(match: ClassMatch, client: ClientKey, options: DhcpOptions): boolean {
  const { vendorClass, userClass, architecture, macPrefix } = match;
  if (vendorClass !== undefined && !(readText(options, OPTION.vendorClass) ?? "").startsWith(vendorClass))
    return false;
  if (userClass !== undefined && !userClasses(options).includes(userClass)) return false;
  if (architecture !== undefined && readUint16(options, OPTION.clientArchitecture) !== architecture)
    return false;
  return macPrefix === undefined || client.startsWith(macPrefix.toLowerCase());
}

/** The whole value, as iPXE sends it, and its entries by RFC 3004 §4: a length byte before each. */
function userClasses(options: DhcpOptions): string[] {
  const value = options.get(OPTION.userClass);
  if (value === undefined) return [];
  const text = Buffer.from(value).toString("latin1");
  const classes = [text];
  for (let offset = 0; offset < text.length; ) {
    const end = offset + 1 + text.charCodeAt(offset);
    if (end > text.length) break;
    classes.push(text.slice(offset + 1, end));
    offset = end;
  }
  return classes;
}
