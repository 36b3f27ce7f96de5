import { expect, test } from "vitest";
import { RamdiskStarts, REST_MS } from "../../../src/agent/site/ramdisk-starts.ts";
import { macOf } from "../../store/records.ts";

const MAC = macOf(1);

test("starts of a machine are counted until it registers", () => {
  const starts = new RamdiskStarts();
  for (const at of [0, 1, 2]) starts.started(MAC, "i-1", at);
  expect(starts.vainStarts(MAC, "i-1", 3)).toBe(3);
  expect(starts.vainStarts(macOf(2), "i-1", 3)).toBe(0);
  starts.registered(MAC);
  expect(starts.vainStarts(MAC, "i-1", 3)).toBe(0);
});

test("a new order begins anew, and so does a machine that has rested", () => {
  const starts = new RamdiskStarts();
  starts.started(MAC, "i-1", 0);
  expect(starts.vainStarts(MAC, "i-2", 1)).toBe(0);
  expect(starts.vainStarts(MAC, null, 1)).toBe(0);
  expect(starts.vainStarts(MAC, "i-1", REST_MS - 1)).toBe(1);
  expect(starts.vainStarts(MAC, "i-1", REST_MS)).toBe(0);
});

test("a flood of addresses pushes out the oldest and takes no more memory", () => {
  const starts = new RamdiskStarts();
  starts.started(MAC, null, 0);
  for (let number = 2; number <= 4097; number++) starts.started(macOf(number), null, 0);
  expect(starts.vainStarts(MAC, null, 1)).toBe(0);
  expect(starts.vainStarts(macOf(4097), null, 1)).toBe(1);
});
