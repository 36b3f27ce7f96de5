/** Machines in every state, with what led there. */
import type { MachineRecord } from "../../src/agent/hub/machine-record.ts";
import type { HealthResult } from "../../src/agent/protocol.ts";
import type { MacAddress } from "../../src/core/mac.ts";
import type { NewEvent, StoreChange } from "../../src/store/ports.ts";
import { inventoryWith } from "../helpers/machines.ts";
import { digestOf, imageRecord, installIntent, machineRecord, macOf } from "../store/records.ts";

const MINUTE = 60_000;
const V1 = digestOf("a");
const V2 = digestOf("b");

export function wholeFleet(now: number): StoreChange[] {
  const intent = installIntent(V2, { createdAt: now, expiresAt: now + 60 * MINUTE });
  const health = (detail: string): HealthResult[] => [
    { name: "app", status: detail === "" ? "pass" : "fail", detail },
    { name: "kubelet", status: "pass", detail: "" },
  ];
  const running = (image: typeof V1, detail = ""): NonNullable<MachineRecord["running"]> => ({
    image,
    slot: "a",
    bootId: "6a1f0f3e-0d6a-4a60-9d8e-0d34d2f6b1aa",
    installGeneration: 1,
    bootCount: 2,
    seq: 41,
    uptimeSeconds: 7_384,
    agentVersion: "0.1.0",
    health: health(detail),
    slotConfirmed: true,
    update: null,
    receivedAt: now,
  });
  let count = 0;
  const machine = (name: string, change: Partial<MachineRecord>): StoreChange => {
    count++;
    const seen = { lastSeenAt: now - count * 9_000, inventory: inventoryWith() };
    const identity = { id: `m-${count}`, name, macs: [macOf(count)], createdAt: now, updatedAt: now };
    return { kind: "insert-machine", machine: machineRecord({ ...identity, ...seen, ...change }) };
  };
  const event = (machineId: string, minutesAgo: number, change: Partial<NewEvent>): StoreChange => ({
    kind: "append-event",
    event: {
      at: now - minutesAgo * MINUTE,
      kind: "dhcp.offer",
      severity: "info",
      siteId: "s-local",
      machineId,
      mac: null,
      summary: "",
      facts: {},
      ...change,
    },
  });
  return [
    {
      kind: "insert-image",
      image: imageRecord({
        digest: V1,
        version: "v1",
        sizeBytes: 2 ** 30,
        dataBytes: 191 * 2 ** 20,
        pushedAt: now - 90 * MINUTE,
      }),
    },
    {
      kind: "insert-image",
      image: imageRecord({
        digest: V2,
        version: "v2",
        sizeBytes: 2 ** 30,
        dataBytes: 203 * 2 ** 20,
        pushedAt: now - 20 * MINUTE,
      }),
    },
    machine("till-1", { state: { kind: "healthy" }, running: running(V2) }),
    machine("till-2", {
      state: { kind: "installing", intent, phase: "writing", doneBytes: 430 * 2 ** 20, totalBytes: 2 ** 30 },
      running: running(V1),
    }),
    machine("till-3", {
      state: { kind: "unhealthy", reason: "app: exit code 7 after 3 s" },
      running: running(V1, "exit code 7 after 3 s"),
    }),
    machine("kiosk-entrance-north", { state: { kind: "assigned", intent: { ...intent, id: "i-2" } } }),
    machine("kiosk-2", {
      state: {
        kind: "install-failed",
        reason: "/dev/sda holds a file system: order it again with --wipe to overwrite it",
      },
    }),
    machine("d52-54-00-00-00-06", { state: { kind: "discovered" } }),
    machine("spare-1", { state: { kind: "expected" }, lastSeenAt: null, inventory: null }),
    machine("till-4", { state: { kind: "booting", image: V2 } }),
    event("m-2", 4, { summary: "offered 10.0.0.22 and undionly.kpxe: BIOS (option 93 = 0)" }),
    event("m-2", 4, { kind: "tftp.done", summary: "undionly.kpxe, 72.1 KiB in 0.1 s" }),
    event("m-2", 3, { kind: "script.install", summary: "install script sent: an open order for app:v2" }),
    event("m-2", 3, {
      kind: "machine.registered",
      summary: "till-2 begins install attempt 1 of 3 (amd64, bios)",
    }),
    event("m-2", 2, { kind: "install.writing", summary: "till-2: writing" }),
    event("m-3", 2, {
      kind: "machine.unhealthy",
      severity: "warning",
      summary: "app fails: exit code 7 after 3 s",
    }),
    event("m-5", 1, {
      kind: "install.failed",
      severity: "alarm",
      summary: "/dev/sda holds a file system: order it again with --wipe to overwrite it",
    }),
    event("m-1", 1, { kind: "machine.healthy", summary: "till-1 is healthy on app:v2, slot a" }),
  ];
}

/** A UEFI machine whose Secure Boot refuses iPXE. */
export function brokenBoot(startedAt: number, machineId: string, mac: MacAddress): StoreChange[] {
  const client = { architecture: 7, vendorClass: "PXEClient:Arch:00007:UNDI:003016", interface: "lan0" };
  const event = (afterMs: number, kind: string, summary: string, facts: NewEvent["facts"]): StoreChange => ({
    kind: "append-event",
    event: {
      at: startedAt + afterMs,
      kind,
      severity: "info",
      siteId: "s-local",
      machineId,
      mac,
      summary,
      facts,
    },
  });
  const told = "10.0.0.22 for 12 h; PXE client, x64-uefi (architecture 7): snponly.efi";
  const answer = { ...client, address: "10.0.0.22", file: "snponly.efi" };
  const loader = {
    file: "snponly.efi",
    sizeBytes: 173_792,
    doneBytes: 173_792,
    durationMs: 40,
    blockBytes: 1428,
  };
  return [
    event(0, "dhcp.offer", `DISCOVER: ${told}`, { asked: "discover", ...answer, probed: "nobody is there" }),
    event(60, "dhcp.ack", `REQUEST: ${told}`, { asked: "request", state: "selecting", ...answer }),
    event(300, "tftp.size", "snponly.efi: 173792 bytes", { file: "snponly.efi", sizeBytes: 173_792 }),
    event(900, "tftp.done", "snponly.efi: 173792 bytes in 40 ms", loader),
  ];
}
