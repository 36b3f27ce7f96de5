/** Whether an interface is there with its address: what the kernel says at the moment. */
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { formatIpv4, type Ipv4, parseIpv4, UNSPECIFIED } from "../../core/ipv4.ts";
import { type MacAddress, parseMac } from "../../core/mac.ts";
import type { ServedInterface } from "./dhcp-sockets.ts";

export type InterfaceState =
  /**
   * @member index the kernel's number of it: another one is another interface, though it has the name
   * @member address the one that was named, or the one that it has
   */
  | { readonly kind: "there"; readonly index: number; readonly address: Ipv4 }
  | { readonly kind: "missing"; readonly reason: string };

/** @param on its address is 0.0.0.0 where any will do */
export function readInterface({ name, address }: ServedInterface): InterfaceState {
  const index = readSetting(name, "ifindex");
  if (index === undefined) return { kind: "missing", reason: `there is no interface ${name}` };
  const found = address === UNSPECIFIED ? anyAddressOf(name) : address;
  if (found === undefined) return { kind: "missing", reason: `${name} has no IPv4 address` };
  if (!hasAddress(name, found)) {
    return { kind: "missing", reason: `${name} does not have the address ${formatIpv4(found)}` };
  }
  return { kind: "there", index: Number(index), address: found };
}

function anyAddressOf(name: string): Ipv4 | undefined {
  const entry = networkInterfaces()[name]?.find(({ family }) => family === "IPv4");
  return entry === undefined ? undefined : parseIpv4(entry.address);
}

export function macOfInterface(name: string): MacAddress | undefined {
  return parseMac(readSetting(name, "address") ?? "");
}

/**
 * Node lists interfaces that have a carrier only. One without (its switch is starting) keeps its addresses, which the routing
 * table knows, and sockets on it live on.
 */
function hasAddress(name: string, address: Ipv4): boolean {
  const text = formatIpv4(address);
  for (const [other, addresses = []] of Object.entries(networkInterfaces())) {
    if (addresses.some(entry => entry.address === text)) return other === name;
  }
  return localAddressesByRoutes().includes(text);
}

function localAddressesByRoutes(): string[] {
  try {
    const table = readFileSync("/proc/net/fib_trie", "utf8");
    return [...table.matchAll(/\|-- ([\d.]+)\n\s+\/32 host LOCAL/g)].map(([, address = ""]) => address);
  } catch {
    return [];
  }
}

function readSetting(name: string, setting: "ifindex" | "address"): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${name}/${setting}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
