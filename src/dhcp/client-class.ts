/** Groups of clients that get options of their own, told apart by what they say of themselves. */
import type { OptionEntry } from "./options.ts";

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
