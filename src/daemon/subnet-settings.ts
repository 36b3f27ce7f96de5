/** A subnet as drp.yaml writes it, and as DHCP uses it. What cannot work between its parts is told by `findSubnetProblems`. */
import { z } from "zod";
import { type Ipv4, parseIpv4, parseIpv4Network } from "../core/ipv4.ts";
import type { OptionEntry } from "../dhcp/options.ts";
import type { AddressRange } from "../dhcp/ranges.ts";
import type { Subnet } from "../dhcp/subnet.ts";
import { decideOptions, optionsSchema } from "./option-settings.ts";
import { decideReservation, reservationSchema } from "./reservation-settings.ts";
import type { ProblemList } from "./setting-problem.ts";

export const subnetSchema = z.strictObject({
  network: z.string(),
  pools: z.array(z.string()).max(256).optional(),
  exclude: z.array(z.string()).max(1024).optional(),
  router: z.string().optional(),
  dns: z.array(z.string()).max(8).optional(),
  leaseMinutes: z.int().min(2).max(525_600).optional(),
  options: optionsSchema.optional(),
  reservations: z.array(reservationSchema).max(65_536).optional(),
});
export type WrittenSubnet = z.output<typeof subnetSchema>;

/** A machine that is off for a night finds its address again; a replaced one frees it within the day. */
const DEFAULT_LEASE_MINUTES = 720;

/**
 * Undefined, and a problem, where there is no network to be in.
 *
 * @param options for every subnet; this one's own win
 */
export function decideSubnet(
  written: WrittenSubnet,
  options: readonly OptionEntry[],
  path: readonly PropertyKey[],
  problems: ProblemList,
): Subnet | undefined {
  const network = parseIpv4Network(written.network);
  if (network === undefined) {
    const reason = `${written.network} is no IPv4 network; write it as 10.0.0.0/24, without host bits`;
    problems.refuse([...path, "network"], reason);
    return undefined;
  }
  const read = new AddressReader(path, problems);
  return {
    network,
    pools: (written.pools ?? []).flatMap((text, index) => read.range(["pools", index], text)),
    exclusions: (written.exclude ?? []).flatMap((text, index) => read.range(["exclude", index], text)),
    router: written.router === undefined ? null : (read.address(["router"], written.router) ?? null),
    dns: (written.dns ?? []).flatMap((text, index) => read.address(["dns", index], text) ?? []),
    leaseSeconds: (written.leaseMinutes ?? DEFAULT_LEASE_MINUTES) * 60,
    options: [...options, ...decideOptions(written.options, [...path, "options"], problems)],
    reservations: (written.reservations ?? []).flatMap(
      (entry, index) => decideReservation(entry, [...path, "reservations", index], problems) ?? [],
    ),
  };
}

class AddressReader {
  readonly #path: readonly PropertyKey[];
  readonly #problems: ProblemList;

  constructor(path: readonly PropertyKey[], problems: ProblemList) {
    this.#path = path;
    this.#problems = problems;
  }

  address(path: readonly PropertyKey[], text: string): Ipv4 | undefined {
    const address = parseIpv4(text);
    if (address === undefined) this.#problems.refuse([...this.#path, ...path], `${text} is no IPv4 address`);
    return address;
  }

  /** "10.0.0.10-10.0.0.99" or one address */
  range(path: readonly PropertyKey[], text: string): AddressRange[] {
    const [firstText = "", lastText = firstText, ...rest] = text.split("-").map(part => part.trim());
    if (rest.length > 0) {
      const reason = `${text} is no range; write it as 10.0.0.10-10.0.0.99`;
      this.#problems.refuse([...this.#path, ...path], reason);
      return [];
    }
    const first = this.address(path, firstText);
    const last = lastText === firstText ? first : this.address(path, lastText);
    return first === undefined || last === undefined ? [] : [{ first, last }];
  }
}
