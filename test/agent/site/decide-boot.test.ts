import { expect, test } from "vitest";
import { decideBoot } from "../../../src/agent/site/decide-boot.ts";
import { MAX_VAIN_STARTS } from "../../../src/agent/site/ramdisk-starts.ts";
import type { SiteMachine } from "../../../src/agent/site/view.ts";
import { intentWith, KEY, MAC } from "../../helpers/machines.ts";

const machine = (change: Partial<SiteMachine> = {}): SiteMachine => ({
  id: "m-1",
  name: "web-1",
  macs: [MAC],
  keyFingerprint: KEY,
  intent: null,
  target: null,
  blank: false,
  quarantineReason: null,
  ...change,
});

test.each([
  [
    "an unknown machine, policy discover",
    undefined,
    "discover",
    "ramdisk",
    "unknown machine, and the site discovers those",
  ],
  [
    "an unknown machine, policy disk",
    undefined,
    "disk",
    "disk",
    "unknown machine, and the site leaves those to their disk",
  ],
  [
    "an unknown machine, policy silent",
    undefined,
    "silent",
    "silent",
    "unknown machine, and the site does not answer those",
  ],
  ["a known machine with nothing to install", machine(), "discover", "disk", "no open install order"],
  [
    "a machine on which nothing was ever installed",
    machine({ blank: true }),
    "silent",
    "ramdisk",
    "nothing was ever installed here; it waits for an order",
  ],
  ["an open order", machine({ intent: intentWith() }), "silent", "ramdisk", /^order i-1 to install sha256:1/],
  [
    "an expired order (loop guard)",
    machine({ intent: intentWith({ expiresAt: 10 }) }),
    "discover",
    "disk",
    "order i-1 has expired",
  ],
  [
    "an order without attempts left (loop guard)",
    machine({ intent: intentWith({ attempts: 3 }) }),
    "discover",
    "disk",
    "order i-1 has used its 3 attempts",
  ],
  [
    "a quarantined machine, even with an order",
    machine({ quarantineReason: "clone", intent: intentWith() }),
    "discover",
    "disk",
    "quarantined: clone",
  ],
] as const)("decideBoot(): %s", (_, known, policy, kind, reason) => {
  expect(decideBoot(known, policy, 0, 10)).toMatchObject({ kind, reason: expect.stringMatching(reason) });
});

test.each([
  ["order-spent", { intent: intentWith({ expiresAt: 10 }) }],
  ["order-spent", { intent: intentWith({ attempts: 3 }) }],
  ["quarantined", { quarantineReason: "clone" }],
  [null, {}],
] as const)("decideBoot() names why it is the disk as a word for programs: %s", (because, changes) => {
  const decision = decideBoot(machine(changes), "discover", 0, 10);
  expect(decision).toMatchObject({ kind: "disk", because });
});

test("decideBoot(): a machine that never registers from the ramdisk ends at its disk, with an order and without", () => {
  const ordered = machine({ intent: intentWith() });
  const blank = machine({ intent: null, blank: true });
  for (const known of [ordered, blank, undefined]) {
    expect(decideBoot(known, "discover", MAX_VAIN_STARTS - 1, 10).kind).toBe("ramdisk");
    expect(decideBoot(known, "discover", MAX_VAIN_STARTS, 10)).toMatchObject({
      kind: "disk",
      because: "ramdisk-in-vain",
      reason: expect.stringContaining("started the ramdisk 5 times without registering"),
    });
  }
});
