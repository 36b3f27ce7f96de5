import { expect, test } from "vitest";
import type { LeaseHistoryQuery } from "../../src/dhcp/lease-history.ts";
import { machineRecord, macOf, NOW } from "../store/records.ts";
import { addressDesk, startTestHub } from "./hub.ts";

const LEASE = {
  address: "10.0.0.7",
  mac: macOf(1),
  hostname: "till-1",
  subnet: "10.0.0.0/24",
  expiresAt: NOW,
};

test("taking an address back frees it, and says on the machine's timeline who did", async () => {
  await using hub = await startTestHub(addressDesk([LEASE]));
  await hub.store.commit([
    { kind: "insert-machine", machine: machineRecord({ id: "m-1", macs: [macOf(1)] }) },
  ]);
  expect((await hub.call("DELETE", "/api/v1/leases/10.0.0.7", { as: "operator" })).status).toBe(204);
  expect((await hub.call("GET", "/api/v1/leases")).body.items).toEqual([]);
  const [event] = await hub.store.listEvents({ machineId: "m-1", limit: 10, from: "newest" });
  expect(event).toMatchObject({
    kind: "lease.revoked",
    summary: `operator took 10.0.0.7 back from ${macOf(1)} (till-1)`,
    facts: { address: "10.0.0.7", client: macOf(1), by: "operator" },
  });
});

test("an address that nobody holds cannot be taken back, nor one that is none", async () => {
  await using hub = await startTestHub();
  expect((await hub.call("DELETE", "/api/v1/leases/10.0.0.7")).body).toMatchObject({ code: "not-found" });
  expect((await hub.call("DELETE", "/api/v1/leases/10.0.0")).body).toMatchObject({
    code: "request.invalid",
    detail: "address: 10.0.0 is not an IPv4 address",
  });
});

test("history is asked for by address, by machine, or whole", async () => {
  const asked: LeaseHistoryQuery[] = [];
  const entry = {
    at: NOW,
    address: "10.0.0.7",
    mac: macOf(1),
    hostname: null,
    what: "leased",
    until: NOW,
  } as const;
  const history = async (query: LeaseHistoryQuery) => {
    asked.push(query);
    return [entry];
  };
  await using hub = await startTestHub(addressDesk([], { history }));
  const get = async (query: string) => (await hub.call("GET", `/api/v1/leases/history${query}`)).body;
  expect(await get("")).toEqual({ items: [entry], next: null });
  await get("?address=10.0.0.7&limit=5");
  await get("?client=525400000001");
  await get("?client=id:0A0B");
  expect(asked).toEqual([
    { address: null, client: null, limit: 100 },
    { address: 0x0a000007, client: null, limit: 5 },
    { address: null, client: macOf(1), limit: 100 },
    { address: null, client: "id:0a0b", limit: 100 },
  ]);
  expect(await get("?client=till-1")).toMatchObject({ code: "request.invalid" });
});
