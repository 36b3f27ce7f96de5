/** Plain values that tests begin with. */
import type { InstallIntent, MachineRecord } from "../../src/agent/hub/machine-record.ts";
import type { Heartbeat, Inventory } from "../../src/agent/protocol.ts";
import type { MacAddress } from "../../src/core/mac.ts";

export const V1 = `sha256:${"1".repeat(64)}`;
export const MAC = "52:54:00:00:00:01" as MacAddress;
export const KEY = "a".repeat(64);
export const GIB = 1024 ** 3;

export function inventoryWith(change: Partial<Inventory> = {}): Inventory {
  return {
    architecture: "amd64",
    firmware: "uefi",
    cpu: { model: "QEMU", threads: 2 },
    memoryBytes: GIB,
    disks: [
      {
        path: "/dev/vda",
        sizeBytes: 2 * GIB,
        sectorBytes: 512,
        model: "",
        serial: "s1",
        rotational: false,
        removable: false,
        holdsData: false,
      },
    ],
    nics: [{ name: "eth0", mac: MAC, driver: "virtio_net", carrier: true }],
    dmi: { vendor: "QEMU", product: "q35", serial: "", uuid: "" },
    ...change,
  };
}

export function intentWith(change: Partial<InstallIntent> = {}): InstallIntent {
  return {
    id: "i-1",
    image: V1,
    installGeneration: 1,
    diskPath: null,
    wipe: false,
    createdAt: 0,
    createdBy: "admin",
    expiresAt: 60_000,
    attempts: 0,
    maxAttempts: 3,
    ...change,
  };
}

export function machineWith(change: Partial<MachineRecord> = {}): MachineRecord {
  return {
    id: "m-1",
    siteId: "s-1",
    name: "web-1",
    macs: [MAC],
    labels: {},
    inventory: inventoryWith(),
    keyFingerprint: KEY,
    installGeneration: 0,
    state: { kind: "discovered" },
    running: null,
    target: null,
    denied: [],
    createdAt: 0,
    updatedAt: 0,
    lastSeenAt: null,
    revision: 1,
    ...change,
  };
}

export function heartbeatWith(change: Partial<Heartbeat> = {}): Heartbeat {
  return {
    protocolVersion: 1,
    agentVersion: "0.1.0",
    installGeneration: 1,
    bootCount: 1,
    seq: 1,
    bootId: "11111111-1111-4111-8111-111111111111",
    slot: "a",
    image: V1,
    uptimeSeconds: 5,
    sentAt: 0,
    health: [{ name: "app", status: "pass", detail: "" }],
    slotConfirmed: true,
    update: null,
    ...change,
  };
}
