import { expect, test } from "vitest";
import { orderInstall } from "../../../src/agent/hub/order-install.ts";
import { GIB, intentWith, inventoryWith, machineWith, V1 } from "../../helpers/machines.ts";

const image = {
  digest: V1,
  name: "app",
  version: "v1",
  architecture: "amd64",
  sizeBytes: 512 * 1024 ** 2,
  release: 1,
} as const;
const request = { diskPath: null, wipe: false, expiresInMinutes: 60, maxAttempts: 3 };
const order = (change: Parameters<typeof machineWith>[0], other: object = {}) =>
  orderInstall({
    machine: machineWith(change),
    image,
    request,
    denied: [],
    standing: null,
    baseline: null,
    createdBy: "admin",
    now: 1000,
    intentId: "i-9",
    ...other,
  });

test("orderInstall() gives an intent that expires, is counted, and has the next install generation", () => {
  const decision = order({ installGeneration: 4 });
  expect(decision).toMatchObject({
    kind: "ordered",
    machine: {
      revision: 2,
      installGeneration: 5,
      state: {
        kind: "assigned",
        intent: { id: "i-9", installGeneration: 5, attempts: 0, expiresAt: 3_601_000 },
      },
    },
    event: { kind: "install.ordered", summary: "admin ordered app:v1; the order ends in 1 h" },
  });
});

test("orderInstall() accepts a machine that has never been seen: its ramdisk checks the hardware", () => {
  expect(order({ inventory: null, state: { kind: "expected" } }).kind).toBe("ordered");
});

test("orderInstall() replaces an order that has expired", () => {
  expect(order({ state: { kind: "assigned", intent: intentWith({ expiresAt: 999 }) } }).kind).toBe("ordered");
});

test.each([
  [
    "an order that is still open",
    order({ state: { kind: "assigned", intent: intentWith() } }),
    "intent.conflict",
    "web-1 already has an open order",
  ],
  [
    "a quarantined machine",
    order({ state: { kind: "quarantined", reason: "two boot ids" } }),
    "intent.conflict",
    "quarantined: two boot ids",
  ],
  [
    "an image of another architecture",
    order({ inventory: inventoryWith({ architecture: "arm64" }) }),
    "image.wrong-architecture",
    "app:v1 is built for amd64, web-1 is arm64",
  ],
  [
    "an image larger than half the disk",
    order({}, { image: { ...image, sizeBytes: 3 * GIB } }),
    "disk.too-small",
    "needs two slots of 3.0 GiB; web-1 has /dev/vda (2.0 GiB)",
  ],
  [
    "an image that a gate has failed",
    order({}, { denied: [{ digest: V1, reason: "till-1 fell back: app: exit 1" }] }),
    "image.denied",
    "app:v1 is denied fleet-wide: till-1 fell back: app: exit 1",
  ],
  [
    "an image that this machine fell back from",
    order({ denied: [{ image: V1, reason: "app: exit 1", at: 5 }] }),
    "image.denied",
    "app:v1 is denied on web-1: app: exit 1",
  ],
  [
    "a disk that the machine does not have",
    order({}, { request: { ...request, diskPath: "/dev/sdz" } }),
    "disk.refused",
    "has no disk /dev/sdz; it has /dev/vda (2.0 GiB)",
  ],
])("orderInstall() refuses %s, with what to do", (_, decision, code, reason) => {
  expect(decision).toMatchObject({ kind: "refused", code, reason: expect.stringContaining(reason) });
  expect(decision.kind === "refused" && decision.advice.length).toBeGreaterThan(20);
});
