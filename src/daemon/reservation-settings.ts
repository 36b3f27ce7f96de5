/** Reservations as drp.yaml writes them: whose, by which of three names, and which address. */
import { z } from "zod";
import { parseIpv4 } from "../core/ipv4.ts";
import { parseMac } from "../core/mac.ts";
import type { Reservation, ReservedFor } from "../dhcp/subnet.ts";
import { decideOptions, optionsSchema, parseIdentifier } from "./option-settings.ts";
import type { ProblemList } from "./setting-problem.ts";

export const reservationSchema = z.strictObject({
  mac: z.string().optional(),
  clientId: z.string().max(600).optional(),
  circuitId: z.string().max(600).optional(),
  remoteId: z.string().max(600).optional(),
  address: z.string(),
  hostname: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, "letters, digits and dashes (RFC 1123 §2.1)")
    .optional(),
  options: optionsSchema.optional(),
});
type WrittenReservation = z.output<typeof reservationSchema>;

/** Undefined, and a problem, where it cannot be told whose it is or which address. */
export function decideReservation(
  written: WrittenReservation,
  path: readonly PropertyKey[],
  problems: ProblemList,
): Reservation | undefined {
  const client = decideReservedFor(written, path, problems);
  const address = parseIpv4(written.address);
  if (address === undefined) problems.refuse([...path, "address"], `${written.address} is no IPv4 address`);
  const options = decideOptions(written.options, [...path, "options"], problems);
  if (client === undefined || address === undefined) return undefined;
  return { client, address, hostname: written.hostname ?? null, options };
}

function decideReservedFor(
  { mac: macText, clientId, circuitId, remoteId }: WrittenReservation,
  path: readonly PropertyKey[],
  problems: ProblemList,
): ReservedFor | undefined {
  const given = [macText, clientId, circuitId].filter(name => name !== undefined);
  if (given.length !== 1) {
    const what = given.length === 0 ? "says for whom by none" : "says for whom by more than one";
    problems.refuse(path, `the reservation ${what} of mac, clientId and circuitId; give exactly one`);
    return undefined;
  }
  if (remoteId !== undefined && circuitId === undefined) {
    problems.refuse([...path, "remoteId"], "a remote id goes with a circuit id; give circuitId too");
    return undefined;
  }
  if (macText !== undefined) {
    const mac = parseMac(macText);
    if (mac === undefined) problems.refuse([...path, "mac"], `${macText} is no MAC address`);
    return mac === undefined ? undefined : { kind: "mac", mac };
  }
  const read = (key: "clientId" | "circuitId" | "remoteId", text: string) => {
    const hex = parseIdentifier(text);
    if (hex === undefined) problems.refuse([...path, key], `write ${text} as "hex:0a0b" or as "text:…"`);
    return hex;
  };
  if (clientId !== undefined) {
    const hex = read("clientId", clientId);
    return hex === undefined ? undefined : { kind: "client-id", clientId: hex };
  }
  const circuit = read("circuitId", circuitId ?? "");
  const remote = remoteId === undefined ? null : read("remoteId", remoteId);
  if (circuit === undefined || remote === undefined) return undefined;
  return { kind: "circuit", circuitId: circuit, remoteId: remote };
}
