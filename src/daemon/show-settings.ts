/** Settings as people and programs read them: `drp config check` shows what the program made of the file. */
import { formatIpv4, formatIpv4Network } from "../core/ipv4.ts";
import { formatDuration } from "../core/time.ts";
import type { OptionEntry } from "../dhcp/options.ts";
import type { AddressRange } from "../dhcp/ranges.ts";
import { assignableRanges, type ReservedFor, type Subnet } from "../dhcp/subnet.ts";
import type { Settings } from "./settings.ts";

/** With addresses, ranges and options in text: what JSON and YAML show. */
export function settingsToPlain(settings: Settings): object {
  const { classes, subnets } = settings.dhcp;
  return {
    ...settings,
    dhcp: {
      ...settings.dhcp,
      classes: classes.map(entry => ({ ...entry, options: optionsToPlain(entry.options) })),
      subnets: subnets.map(subnet => ({
        ...subnet,
        network: formatIpv4Network(subnet.network),
        pools: subnet.pools.map(formatRange),
        exclusions: subnet.exclusions.map(formatRange),
        router: subnet.router === null ? null : formatIpv4(subnet.router),
        dns: subnet.dns.map(formatIpv4),
        options: optionsToPlain(subnet.options),
        reservations: subnet.reservations.map(entry => ({
          ...entry,
          address: formatIpv4(entry.address),
          options: optionsToPlain(entry.options),
        })),
      })),
    },
  };
}

/** What is easily meant otherwise: where DHCP answers, and what there is to give. */
export function describeDhcpSettings({ dhcp }: Settings): [label: string, text: string][] {
  const { mode, interfaces, ports, classes, subnets } = dhcp;
  const where =
    interfaces.length === 0 ? "every interface with an address in a subnet" : interfaces.join(", ");
  if (mode === "proxy") return [["DHCP", `proxy on ${where} (${ports.dhcp} and ${ports.proxyDhcp}/udp)`]];
  if (subnets.length === 0) return [["DHCP", "off: no subnet to give addresses from (dhcp.subnets)"]];
  return [
    ["DHCP", `server on ${where} (${ports.dhcp}/udp)`],
    ...subnets.map((subnet): [string, string] => ["subnet", describeSubnet(subnet)]),
    ...classes.map(({ name, match, options }): [string, string] => {
      const by = Object.entries(match).map(([field, value]) => `${field} ${value}`);
      return ["class", `${name}: ${by.join(" and ")}; ${count(options.length, "option")}`];
    }),
  ];
}

function describeSubnet(subnet: Subnet): string {
  const { network, reservations, leaseSeconds, options } = subnet;
  const parts = [
    `${count(poolSize(subnet), "address", "addresses")} to give`,
    count(reservations.length, "reservation"),
    `leases of ${formatDuration(leaseSeconds * 1000)}`,
    ...(options.length === 0 ? [] : [count(new Set(options.map(([code]) => code)).size, "option")]),
  ];
  return `${formatIpv4Network(network)}: ${parts.join(", ")}`;
}

/** How many addresses any client may get: without what is excluded, reserved, or somebody's already. */
function poolSize(subnet: Subnet): number {
  return assignableRanges(subnet, []).reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

export function formatRange({ first, last }: AddressRange): string {
  return first === last ? formatIpv4(first) : `${formatIpv4(first)}-${formatIpv4(last)}`;
}

/** "52:54:00:12:34:56", "client id 01ff", "circuit 0102 of relay 03" */
export function formatReservedFor(client: ReservedFor): string {
  switch (client.kind) {
    case "mac":
      return client.mac;
    case "client-id":
      return `client id ${client.clientId}`;
    case "circuit": {
      const relay = client.remoteId === null ? "" : ` of relay ${client.remoteId}`;
      return `circuit ${client.circuitId}${relay}`;
    }
  }
}

function optionsToPlain(options: readonly OptionEntry[]): Record<number, string> {
  return Object.fromEntries(
    options.map(([code, value]) => [code, `hex:${Buffer.from(value).toString("hex")}`]),
  );
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
