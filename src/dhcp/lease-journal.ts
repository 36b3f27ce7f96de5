/**
 * The lease journal's bytes: a first line that names the format, then one line for each durable change, a checksum before
 * its JSON. Knows no file; `io/lease-journal.ts` does.
 */
import { z } from "zod";
import { decodeCheckedLine, encodeCheckedLine, splitLines } from "../core/checked-line.ts";
import { DrpError } from "../core/errors.ts";
import { formatIpv4, type Ipv4, parseIpv4 } from "../core/ipv4.ts";
import { parseMac } from "../core/mac.ts";
import type { ClientKey } from "./client-key.ts";
import type { DurableChange } from "./lease-change.ts";

/** Version 1 kept no times, and called the client "mac" at first: its files are still read. */
const headerSchema = z.object({
  format: z.literal("drp-leases"),
  version: z.union([z.literal(1), z.literal(2)]),
});
export const JOURNAL_HEADER = encodeCheckedLine({ format: "drp-leases", version: 2 });

const address = z.string().transform((text, context): Ipv4 => {
  const parsed = parseIpv4(text);
  if (parsed === undefined) context.addIssue("not an IPv4 address");
  return parsed ?? (0 as Ipv4);
});
const client = z.string().transform((text, context): ClientKey => {
  const parsed = /^id:([0-9a-f]{2})+$/.test(text) ? (text as ClientKey) : parseMac(text);
  if (parsed === undefined) context.addIssue("neither a MAC address nor a client identifier");
  return parsed ?? ("id:" as ClientKey);
});
const until = z.int();
const common = {
  at: z.int().nullable().default(null),
  address,
  client: client.optional(),
  mac: client.optional(),
};
const lineSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("lease"), ...common, hostname: z.string().nullable(), until }),
  z.object({ kind: z.literal("release"), ...common }),
  z.object({ kind: z.literal("revoke"), ...common }),
  z.object({ kind: z.literal("decline"), ...common, until }),
  z.object({ kind: z.literal("conflict"), ...common, until }),
]);

export function encodeChange(change: DurableChange): string {
  if (change.kind === "lease") {
    const { at, lease } = change;
    const { address, client, hostname, expiresAt } = lease;
    return encodeCheckedLine({
      kind: "lease",
      at,
      address: formatIpv4(address),
      client,
      hostname,
      until: expiresAt,
    });
  }
  return encodeCheckedLine({ ...change, address: formatIpv4(change.address) });
}

/**
 * A damaged end is what a power cut leaves of a write that was never acknowledged: it is cut off. Damage with intact lines
 * behind it is something else, and leases that were given out may be lost: that is refused.
 *
 * @param fileName for the error
 * @returns the changes in the order in which they were written, decoded one by one as they are taken
 * @throws {DrpError} lease-journal.damaged with the offset in bytes
 */
export function* decodeChanges(
  bytes: Uint8Array,
  fileName: string,
): Generator<DurableChange, void, undefined> {
  let damagedAt: number | undefined;
  for (const { offset, bytes: text } of splitLines(bytes)) {
    const line = decodeLine(text);
    if (line === undefined) damagedAt ??= offset;
    else if (damagedAt !== undefined) throw damaged(fileName, damagedAt);
    else if (line !== "header") yield line;
  }
}

/** All of `decodeChanges()`, and nothing where one of them cannot be had. @throws {DrpError} lease-journal.damaged */
export function decodeJournal(bytes: Uint8Array, fileName: string): DurableChange[] {
  return [...decodeChanges(bytes, fileName)];
}

function damaged(fileName: string, offset: number): DrpError {
  return new DrpError("lease-journal.damaged", `lease journal ${fileName} is damaged at byte ${offset}`, {
    advice:
      "Put the file back from a backup, or move it away: then start with no known leases, best after the longest lease time.",
    facts: { file: fileName, offsetBytes: offset },
  });
}

function decodeLine(bytes: Uint8Array): DurableChange | "header" | undefined {
  const content = decodeCheckedLine(bytes);
  if (content === undefined) return undefined;
  const parsed = lineSchema.safeParse(content);
  if (!parsed.success) return headerSchema.safeParse(content).success ? "header" : undefined;
  const { mac, client = mac, ...line } = parsed.data;
  if (client === undefined) return undefined;
  if (line.kind !== "lease") return { ...line, client };
  const { at, address, hostname, until } = line;
  return { kind: "lease", at, lease: { address, client, hostname, expiresAt: until } };
}
