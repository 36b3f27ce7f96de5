/** The options that drp.yaml gives a client: its machine's before its classes', those before its subnet's. */
import { type ClientClass, matchesClass } from "./client-class.ts";
import type { ClientKey } from "./client-key.ts";
import { type DhcpOptions, OPTION, type OptionEntry, textValue } from "./options.ts";
import type { Reservation, Subnet } from "./subnet.ts";

/**
 * @param asked the client's options, by which classes know it
 * @returns each code may be there more than once: the last one counts. Empty for most clients of most sites
 */
export function configuredOptions(
  subnet: Subnet,
  classes: readonly ClientClass[],
  reservation: Reservation | undefined,
  client: ClientKey,
  asked: DhcpOptions,
): OptionEntry[] {
  const options = [...subnet.options];
  // Where several match, the first one's options count, so that a special case is written before the general one.
  for (const { match, options: ofClass } of classes.toReversed()) {
    if (matchesClass(match, client, asked)) options.push(...ofClass);
  }
  if (reservation === undefined) return options;
  // No other machine is told a name: what it calls itself is its own affair.
  if (reservation.hostname !== null) options.push([OPTION.hostname, textValue(reservation.hostname)]);
  options.push(...reservation.options);
  return options;
}
