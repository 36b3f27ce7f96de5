/** The kernel's neighbour table, as /proc/net/arp tells it. Reads no file. */
import { type Ipv4, parseIpv4 } from "../core/ipv4.ts";
import { type MacAddress, parseMac } from "../core/mac.ts";

/** Address → hardware address of those that answered, now or some time ago. */
export type Neighbours = ReadonlyMap<Ipv4, MacAddress>;

/** Linux, include/uapi/linux/if_arp.h: the entry has a hardware address. */
const ATF_COM = 0x02;

/** @param table of /proc/net/arp; lines that are not understood are left out */
export function parseNeighbours(table: string): Neighbours {
  const neighbours = new Map<Ipv4, MacAddress>();
  for (const line of table.split("\n")) {
    const [address = "", , flags = "", hardwareAddress = ""] = line.split(/ +/);
    if ((Number.parseInt(flags, 16) & ATF_COM) === 0) continue;
    const ip = parseIpv4(address);
    const mac = parseMac(hardwareAddress);
    if (ip !== undefined && mac !== undefined) neighbours.set(ip, mac);
  }
  return neighbours;
}
