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
import type { DurableChange, LeaseChange } from "./leases.ts";

const headerSchema = z.object({ format: z.literal("drp-leases"), version: z.literal(1) });
export const JOURNAL_HEADER = encodeCheckedLine({ format: "drp-leases", version: 1 });

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
const lineSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("lease"), address, client, hostname: z.string().nullable(), until }),
  z.object({ kind: z.literal("release"), address, client }),
  z.object({ kind: z.literal("decline"), address, client, until }),
]);

/** Whether a change must be on disk before its reply leaves. */
export function isDurable(change: LeaseChange): change is DurableChange {
  return change.kind !== "offer";
}

export function encodeChange(change: DurableChange): string {
  if (change.kind === "lease") {
    const { address, client, hostname, expiresAt } = change.lease;
    return encodeCheckedLine({
      kind: "lease",
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
 * @throws {DrpError} lease-journal.damaged with the offset in bytes
 */
export function decodeJournal(bytes: Uint8Array, fileName: string): DurableChange[] {
  const changes: DurableChange[] = [];
  let damagedAt: number | undefined;
  for (const { offset, bytes: text } of splitLines(bytes)) {
    const line = decodeLine(text);
    if (line === undefined) damagedAt ??= offset;
    else if (damagedAt !== undefined) throw damaged(fileName, damagedAt);
    else if (line !== "header") changes.push(line);
  }
  return changes;
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
  if (headerSchema.safeParse(content).success) return "header";
  const parsed = lineSchema.safeParse(content);
  if (!parsed.success) return undefined;
  const line = parsed.data;
  if (line.kind !== "lease") return line;
  const { address, client, hostname, until } = line;
  return { kind: "lease", lease: { address, client, hostname, expiresAt: until } };
}
