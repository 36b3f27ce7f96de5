/** How large a frame an interface carries. Linux tells it in /sys; Node does not. */
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";

const ETHERNET_MTU_BYTES = 1500;

/**
 * @param address of the interface
 * @returns bytes of an IP packet; Ethernet's 1500 where it is not to be found out
 */
export async function readMtu(address: string): Promise<number> {
  const [name] =
    Object.entries(networkInterfaces()).find(([, addresses]) =>
      addresses?.some(known => known.address === address),
    ) ?? [];
  if (name === undefined) return ETHERNET_MTU_BYTES;
  // "eth0:1" is a second address of eth0.
  const [device] = name.split(":");
  try {
    const mtu = Number.parseInt(await readFile(`/sys/class/net/${device}/mtu`, "latin1"), 10);
    return Number.isNaN(mtu) ? ETHERNET_MTU_BYTES : mtu;
  } catch {
    return ETHERNET_MTU_BYTES;
  }
}
