import { afterAll, beforeAll, expect, test } from "vitest";
import { addressDesk, startTestHub, type TestHub } from "../api/hub.ts";
import { macOf, NOW, newEvent } from "../store/records.ts";
import { type HubUser, runDrp, userOf } from "./run-drp.ts";

let hub: TestHub;
let user: HubUser;

const lease = { mac: macOf(1), hostname: "till-1", subnet: "10.0.0.0/24", expiresAt: NOW };

beforeAll(async () => {
  hub = await startTestHub(
    addressDesk([{ ...lease, address: "10.0.0.7" }], {
      subnets: async () => [
        {
          network: "10.0.0.0/24",
          pools: ["10.0.0.10-10.0.0.99"],
          router: null,
          leaseSeconds: 43_200,
          size: 90,
          leased: 90,
          free: 0,
          reservations: 2,
        },
      ],
    }),
  );
  user = userOf(hub, "operator");
  const client = { asked: "discover", architecture: 7, vendorClass: "PXEClient", interface: "lan0" };
  const facts = { ...client, because: "pool-empty" };
  await hub.store.commit([
    {
      kind: "append-event",
      event: newEvent({
        at: NOW,
        mac: macOf(1),
        kind: "dhcp.silent",
        summary: "DISCOVER: no address to offer: every address is taken",
        facts,
      }),
    },
  ]);
});

afterAll(async () => {
  user[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

const drp = (...args: string[]) => runDrp(args, user.env);

test("boot explain tells people, and gives programs the whole of it", async () => {
  const { code, stdout } = await drp("boot", "explain", macOf(1), "-o", "table");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ +\+0\.0 s {2}DISCOVER → no answer {2}no address to offer/m);
  expect(stdout).toMatch(/^✗ it asked for an address, and there is none left/m);
  expect(stdout).toMatch(/^ {2}→ Make a pool larger/m);
  expect(JSON.parse((await drp("boot", "explain", macOf(1), "-o", "json")).stdout)).toMatchObject({
    boots: [{ verdict: { rule: "no-address-left" } }],
  });
});

test("boot explain of what is no machine says how to ask", async () => {
  const { code, stderr } = await drp("boot", "explain", "till-9");
  expect(code).toBe(1);
  expect(stderr).toContain("Give its MAC address, as 52:54:00:12:34:56");
});

test("subnets list shows what is left; without reservations it says where they stand", async () => {
  const { stdout } = await drp("subnets", "list", "-o", "table");
  expect(stdout).toMatch(/^10\.0\.0\.0\/24 {2}10\.0\.0\.10-10\.0\.0\.99 +90 +90 +0 +2 +12 h/m);
  expect((await drp("reservations", "list", "-o", "table")).stderr).toContain("No reservations.");
});

test("leases release says whom it frees the address of, once", async () => {
  const { code, stdout, stderr } = await drp("leases", "release", "10.0.0.7", "-o", "table");
  expect([code, stdout]).toEqual([0, `10.0.0.7 is free: ${macOf(1)} (till-1) held it\n`]);
  expect(stderr).toContain("goes on using 10.0.0.7 until it asks for it again");
  const again = await drp("leases", "release", "10.0.0.7");
  expect(again).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("nobody of the hub's own site holds"),
  });
  expect((await drp("leases", "list", "-o", "table")).stderr).toContain("other sites keep their leases");
  expect((await drp("leases", "history", "10.0.0.7", "-o", "table")).stderr).toContain(
    "Nothing is known of 10.0.0.7",
  );
});
