import { expect, it } from "vitest";
import { formatIpv4 } from "../../src/core/ipv4.ts";
import type { BootEvent } from "../../src/dhcp/boot-event.ts";
import type { ConflictProber } from "../../src/dhcp/io/conflict-prober.ts";
import { DhcpExchange } from "../../src/dhcp/io/exchange.ts";
import type { LeaseJournal } from "../../src/dhcp/io/lease-journal.ts";
import type { OtherServerWatch } from "../../src/dhcp/io/other-server-watch.ts";
import { decodePacket, encodePacket } from "../../src/dhcp/packet.ts";
import { asksFor, ip, message, NOW, RECEIVED_ON, server, toServer } from "./helpers/server.ts";

it("DhcpExchange gives no lease that the disk did not take: it says why, and whose disk to look at, and the address is free", async () => {
  const state = server();
  const events: BootEvent[] = [];
  const exchange = new DhcpExchange({
    state: () => state,
    journal: { append: () => Promise.reject(new Error("ENOSPC: no space left on device")) } as never,
    clock: () => NOW,
    onEvent: (_mac, _kind, describe) => events.push(describe()),
    prober: {} as ConflictProber,
    otherServers: { isOwnSearch: () => false } as never,
  });
  const sockets = {
    send: () => events.push({ kind: "sent", summary: "", facts: {} }),
    close: async () => {},
  };
  const request = message("request", { options: [asksFor("10.0.0.10"), toServer("10.0.0.1")] });
  exchange.receive(
    encodePacket(request),
    { address: "0.0.0.0", port: 68 },
    { receivedOn: RECEIVED_ON, sockets },
  );
  expect(state.leases.liveLeases(NOW)).toHaveLength(1);
  await new Promise(resolve => setImmediate(resolve));
  expect(events.map(({ kind }) => kind)).toEqual(["dhcp.failed"]);
  expect(events[0]?.summary).toMatch(/see to the disk of the data folder.*ENOSPC/);
  expect(state.leases.liveLeases(NOW)).toEqual([]);
});

it("DhcpExchange decides again where new pools came while an address was probed: the old one may be nobody's to give", async () => {
  let state = server();
  const probed: string[] = [];
  const prober: Pick<ConflictProber, "isBusy" | "probe"> = {
    isBusy: false,
    probe: async ({ address }) => {
      probed.push(formatIpv4(address));
      if (probed.length === 1)
        state = server({ pools: [{ first: ip("10.0.0.100"), last: ip("10.0.0.200") }] });
      return { kind: "free" };
    },
  };
  const otherServers: Pick<OtherServerWatch, "isOwnSearch"> = { isOwnSearch: () => false };
  const exchange = new DhcpExchange({
    state: () => state,
    journal: {} as LeaseJournal,
    clock: () => NOW,
    onEvent: () => {},
    prober: prober as ConflictProber,
    otherServers: otherServers as OtherServerWatch,
  });
  const offered = await new Promise<Uint8Array>(resolve => {
    const sockets = { send: resolve, close: async () => {} };
    const discover = encodePacket(message("discover"));
    exchange.receive(discover, { address: "0.0.0.0", port: 68 }, { receivedOn: RECEIVED_ON, sockets });
  });
  expect(formatIpv4(decodePacket(offered).yiaddr)).toBe("10.0.0.100");
  expect(probed).toEqual(["10.0.0.10", "10.0.0.100"]);
});
