/** What machines are told at their script, with the real desk and the hub's rules; leases and neighbours are made up. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { BootScripts, type BootScriptsOptions } from "../../../src/agent/site/io/boot-scripts.ts";
import { MachineDesk } from "../../../src/agent/site/machine-desk.ts";
import { MAX_VAIN_STARTS, REST_MS } from "../../../src/agent/site/ramdisk-starts.ts";
import type { MacAddress } from "../../../src/core/mac.ts";
import { describeScript } from "../../../src/pxe/boot-plan.ts";
import { intentWith, inventoryWith, KEY, MAC, machineWith } from "../../helpers/machines.ts";
import { MemoryHub } from "../../helpers/memory-hub.ts";

let bootFiles: string;
beforeAll(() => {
  bootFiles = mkdtempSync(join(tmpdir(), "drp-boot-scripts-"));
  writeFileSync(join(bootFiles, "ramdisk.img"), "");
});
afterAll(() => rmSync(bootFiles, { recursive: true }));

let hub: MemoryHub;
let desk: MachineDesk;
let now: number;
let told: string[];
beforeEach(() => {
  now = 1000;
  told = [];
  hub = new MemoryHub();
  desk = new MachineDesk({ hub, clock: () => now, randomBytes });
});

/** 10.0.0.9 is the machine's, by lease or by neighbour. */
function scripts(changes: Partial<BootScriptsOptions> = {}): BootScripts {
  return new BootScripts({
    desk,
    address: "10.0.0.1",
    bootPort: 8091,
    machinePort: 8443,
    bootFiles,
    dhcpMode: "server",
    macOf: async remoteAddress => (remoteAddress === "10.0.0.9" ? MAC : null),
    onEvent: (mac, event) => told.push(`${mac} ${event.kind} ${event.facts.format}: ${event.summary}`),
    ...changes,
  });
}

const HERE = ["10.0.0.9", "10.1.0.1"] as const;

test("a script carries the address at which the machine reached us, also for the machine channel", async () => {
  const plan = await scripts().plan(MAC, ...HERE);
  expect(plan).toMatchObject({
    kind: "ramdisk",
    kernelUrl: "http://10.1.0.1:8091/ramdisk/vmlinuz",
    initrdUrl: "http://10.1.0.1:8091/ramdisk/initrd.img",
    order: null,
  });
  const words = plan.kind === "ramdisk" ? plan.arguments : [];
  expect(words).toEqual(
    expect.arrayContaining([
      "drp.site=https://10.1.0.1:8443",
      "drp.boot=http://10.1.0.1:8091",
      `drp.mac=${MAC}`,
    ]),
  );
});

test.each([
  ["server", "10.0.0.10 is not the address that 52:54:00:12:34:56 was given"],
  ["proxy", "10.0.0.10 is not 52:54:00:12:34:56's by this host's neighbour table"],
] as const)("as %s a token goes only to where the machine is", async (dhcpMode, reason) => {
  const plan = await scripts({ dhcpMode }).plan(MAC, "10.0.0.10", "10.0.0.1");
  expect(plan).toMatchObject({
    kind: "refused",
    reason: expect.stringContaining(reason.replace("52:54:00:12:34:56", MAC)),
  });
});

test("without DHCP of ours nothing tells where a machine is, and whoever asks is answered", async () => {
  expect(await scripts({ dhcpMode: "off" }).plan(MAC, "10.9.9.9", "10.0.0.1")).toMatchObject({
    kind: "ramdisk",
  });
});

test("GRUB's machine is known by its address; an address of nobody's is told so and loads nothing", async () => {
  const boot = scripts();
  const script = await boot.grubScript({ mac: MAC, remoteAddress: "10.0.0.9", localAddress: "10.0.0.1" });
  expect(script).toContain("if linux '(tftp,10.0.0.1)/ramdisk/vmlinuz' ");
  const stranger = { mac: null, remoteAddress: "10.0.0.77", localAddress: "10.0.0.1" };
  expect(await boot.grubScript(stranger)).toMatch(
    /^echo 'drp: nothing to boot: nothing here tells which machine/,
  );
  expect(told).toEqual([
    `${MAC} script.ramdisk grub: boots the ramdisk: unknown machine, and the site discovers those`,
    "null script.refused grub: nothing here tells which machine has 10.0.0.77: no lease, and no entry in the neighbour table",
  ]);
});

test("a boot process that is being started again ends in a script that shows it, not in silence", async () => {
  const macOf = async () => Promise.reject(new Error("is being started again"));
  const question = { mac: MAC, remoteAddress: "10.0.0.9", localAddress: "10.0.0.1" };
  expect(await scripts({ macOf }).grubScript(question)).toContain("is being started again");
});

test("an order whose machine never registers ends at the disk; after an hour it may try again", async () => {
  hub.set(machineWith({ state: { kind: "assigned", intent: intentWith({ expiresAt: 10 * REST_MS }) } }));
  const boot = scripts();
  for (let start = 1; start <= MAX_VAIN_STARTS; start++) {
    const plan = await boot.plan(MAC, ...HERE);
    expect(plan).toMatchObject({ kind: "ramdisk", order: { id: "i-1", attempts: 0 } });
  }
  expect(await boot.plan(MAC, ...HERE)).toMatchObject({
    kind: "disk",
    because: "ramdisk-in-vain",
    reason: expect.stringContaining("started the ramdisk 5 times without registering"),
  });
  now += REST_MS;
  expect(await boot.plan(MAC, ...HERE)).toMatchObject({ kind: "ramdisk" });
});

test("a machine that registers each time is counted by its order alone", async () => {
  hub.set(
    machineWith({ state: { kind: "assigned", intent: intentWith({ expiresAt: REST_MS, maxAttempts: 2 }) } }),
  );
  const boot = scripts();
  for (const attempts of [0, 1]) {
    expect(await boot.plan(MAC, ...HERE)).toMatchObject({ kind: "ramdisk", order: { attempts } });
    await register(desk.mintToken(MAC, "i-1"));
  }
  expect(await boot.plan(MAC, ...HERE)).toMatchObject({
    kind: "disk",
    reason: "order i-1 has used its 2 attempts",
  });
});

test("the timeline's event of a script says why it is the disk as a word for programs", () => {
  const plan = {
    kind: "disk",
    because: "order-spent",
    reason: "too late",
    uefiLoaderUrl: "http://x/",
  } as const;
  expect(describeScript(plan, "grub").facts).toEqual({ format: "grub", because: "order-spent" });
  expect(describeScript({ ...plan, because: null }, "ipxe").facts).toEqual({ format: "ipxe" });
});

function register(bootToken: string) {
  const bootMac: MacAddress = MAC;
  const bootId = "11111111-1111-4111-8111-111111111111";
  return desk.register({ bootToken, bootMac, bootId, inventory: inventoryWith() } as never, KEY, "10.0.0.9");
}
