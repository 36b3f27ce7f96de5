import { describe, expect, it } from "vitest";
import { type Ipv4, parseIpv4, UNSPECIFIED } from "../../src/core/ipv4.ts";
import { parseMac } from "../../src/core/mac.ts";
import { parseNeighbours } from "../../src/dhcp/neighbours.ts";
import { ipv4Value, OPTION } from "../../src/dhcp/options.ts";
import { OtherServers, serverOf } from "../../src/dhcp/other-servers.ts";
import { BOOT_REPLY, type DhcpMessage, decodePacket, encodePacket } from "../../src/dhcp/packet.ts";
import { searchForServers } from "../../src/dhcp/server-search.ts";

function ip(text: string): Ipv4 {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}
const mac = parseMac("02:00:00:00:00:07") ?? fail();
function fail(): never {
  throw new Error("not a MAC address");
}

const sighting = { server: ip("10.0.0.7"), mac, interfaceName: "eth1", how: "it offered us an address" };
const HOUR = 3_600_000;

describe("OtherServers", () => {
  it("tells of a server once an hour, while it goes on", () => {
    const servers = new OtherServers();
    expect(servers.note(sighting, 0)).toEqual({
      kind: "dhcp.other-server",
      summary: "second DHCP server 10.0.0.7 (02:00:00:00:00:07) on eth1: it offered us an address",
      facts: { server: "10.0.0.7", interface: "eth1", how: "it offered us an address", serverMac: mac },
    });
    expect(servers.note(sighting, HOUR - 1)).toBeUndefined();
    expect(servers.note(sighting, HOUR)).toBeDefined();
  });

  it("tells of each server by itself, and again where the clock was set back", () => {
    const servers = new OtherServers();
    servers.note(sighting, HOUR);
    expect(servers.note({ ...sighting, server: ip("10.0.0.8") }, HOUR)).toBeDefined();
    expect(servers.note(sighting, 0)).toBeDefined();
  });

  it("remembers a MAC address that a later sighting does not have", () => {
    const servers = new OtherServers();
    servers.note(sighting, 0);
    servers.note({ ...sighting, mac: null }, 1);
    expect(servers.notes(2)).toEqual([expect.stringContaining("10.0.0.7 (02:00:00:00:00:07) on eth1")]);
  });

  it("names servers with what to do, until nothing was heard of them for half an hour", () => {
    const servers = new OtherServers();
    servers.note(sighting, 0);
    expect(servers.notes(HOUR / 2 - 1)).toEqual([
      "second DHCP server 10.0.0.7 (02:00:00:00:00:07) on eth1: switch one of the two off, or give each addresses of its own; where the other is to give the addresses, set dhcp.mode to proxy",
    ]);
    expect(servers.notes(HOUR / 2)).toEqual([]);
  });

  it("is not filled by a stranger who makes servers up", () => {
    const servers = new OtherServers();
    for (let number = 0; number < 1000; number++) servers.note({ ...sighting, server: number as Ipv4 }, 0);
    expect(servers.notes(1)).toHaveLength(64);
  });
});

describe("serverOf()", () => {
  const offer = (identifier?: Ipv4): DhcpMessage => ({
    ...searchForServers(mac, 7),
    op: BOOT_REPLY,
    options: new Map(identifier === undefined ? [] : [[OPTION.serverIdentifier, ipv4Value(identifier)]]),
  });
  it.each([
    ["its server identifier", offer(ip("10.0.0.7")), "10.0.0.9", "10.0.0.7"],
    ["its sender where it names none", offer(), "10.0.0.9", "10.0.0.9"],
  ])("knows a server by %s", (_name, message, sender, server) => {
    expect(serverOf(message, ip(sender), [ip("10.0.0.1")])).toBe(ip(server));
  });

  it("does not take ourselves for another, by whichever of our addresses", () => {
    expect(serverOf(offer(ip("10.0.0.1")), undefined, [ip("10.1.0.1"), ip("10.0.0.1")])).toBeUndefined();
    expect(serverOf(offer(UNSPECIFIED), undefined, [])).toBeUndefined();
  });
});

describe("searchForServers()", () => {
  it("is a DISCOVER of a UEFI machine that wants a broadcast, under our own MAC address", () => {
    const message = decodePacket(encodePacket(searchForServers(mac, 7)));
    expect(message).toMatchObject({
      op: 1,
      xid: 7,
      broadcast: true,
      chaddr: Uint8Array.of(2, 0, 0, 0, 0, 7),
    });
    expect(message.options.get(OPTION.messageType)).toEqual(Uint8Array.of(1));
  });
});

describe("parseNeighbours()", () => {
  it("takes what has answered, and leaves out what is asked for in vain and what is no IPv4 neighbour", () => {
    const table = `IP address       HW type     Flags       HW address            Mask     Device
10.0.0.2         0x1         0x2         02:00:00:00:00:07     *        eth0
10.0.0.3         0x1         0x0         00:00:00:00:00:00     *        eth0
10.0.0.4         0x1         0x6         02:00:00:00:00:07     *        eth0
nonsense
`;
    expect([...parseNeighbours(table)]).toEqual([
      [ip("10.0.0.2"), mac],
      [ip("10.0.0.4"), mac],
    ]);
  });
});
