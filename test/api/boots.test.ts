import { expect, test } from "vitest";
import { bootExplanationSchema } from "../../src/api/wire.ts";
import type { NewEvent } from "../../src/store/ports.ts";
import { machineRecord, macOf, NOW, newEvent } from "../store/records.ts";
import { startTestHub, type TestHub } from "./hub.ts";

const UEFI = { architecture: 7, vendorClass: "PXEClient:Arch:00007", interface: "lan0" };

function discover(change: Partial<NewEvent> = {}) {
  const facts = { asked: "discover", ...UEFI, address: "10.0.0.7", file: "snponly.efi" };
  const event = newEvent({
    at: NOW - 600_000,
    kind: "dhcp.offer",
    mac: macOf(1),
    siteId: "s-local",
    facts,
    ...change,
  });
  return { kind: "append-event", event } as const;
}

async function explain(hub: TestHub, reference: string, query = "") {
  const { status, body } = await hub.call("GET", `/api/v1/boots/${reference}${query}`, { as: "viewer" });
  expect(status).toBe(200);
  return bootExplanationSchema.parse(body);
}

test("a machine is explained by its name and by each of its addresses, also by packets from before it was entered", async () => {
  await using hub = await startTestHub();
  const machine = machineRecord({ id: "m-1", name: "till-1", macs: [macOf(1), macOf(2)] });
  await hub.store.commit([
    discover(),
    { kind: "insert-machine", machine },
    discover({ at: NOW - 300_000, mac: macOf(2), machineId: "m-1" }),
  ]);
  for (const reference of ["till-1", macOf(1), macOf(2)]) {
    const { machine: shown, siteName, boots } = await explain(hub, reference);
    expect(shown).toMatchObject({ name: "till-1" });
    expect(siteName).toBe("local");
    expect(boots.map(boot => boot.mac)).toEqual([macOf(1), macOf(2)]);
  }
  const { boots, olderBoots } = await explain(hub, "till-1", "?limit=1");
  expect([boots.length, olderBoots]).toEqual([1, 1]);
});

test("an address that nobody entered is explained too, with what troubled its site", async () => {
  await using hub = await startTestHub();
  const trouble = { kind: "dhcp.other-server", mac: null, siteId: "s-local", at: NOW - 600_000 };
  await hub.store.commit([
    discover(),
    {
      kind: "append-event",
      event: newEvent({
        ...trouble,
        facts: { server: "10.0.0.9", interface: "lan0" },
        summary: "second server",
      }),
    },
  ]);
  const { machine, boots } = await explain(hub, macOf(1));
  expect(machine).toBeNull();
  expect(boots[0]?.verdict).toMatchObject({
    rule: "offer-not-taken",
    meaning: "another DHCP server may have been quicker: 10.0.0.9 on lan0",
  });
});

test("of an address that was never heard, the silence is explained: what is off, and who nearly has it", async () => {
  await using hub = await startTestHub();
  await hub.store.commit([discover()]);
  const { silence, boots } = await explain(hub, macOf(2));
  expect(boots).toEqual([]);
  expect(silence?.last).toBe(`no packet of ${macOf(2)} was ever heard`);
  expect(silence?.advice.join("\n")).toContain(`${macOf(1)} (10 min ago)`);
  expect(silence?.advice.join("\n")).toContain("DHCP of site local is off");
});

test("what is neither an address nor a machine is refused", async () => {
  await using hub = await startTestHub();
  const { status, body } = await hub.call("GET", "/api/v1/boots/till-9");
  expect([status, body.code]).toEqual([404, "machine.unknown"]);
});
