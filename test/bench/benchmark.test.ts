import { describe, expect, it } from "vitest";
import {
  comparedWithPeer,
  formatResults,
  heldAgainstLimit,
  measureInTurn,
  median,
} from "../../bench/benchmark.ts";

const RATE = { case: "4-way/s vs kea", unit: "1/s", better: "higher", bar: 1.5 } as const;

describe("measureInTurn()", () => {
  it("lets each side begin in turn", async () => {
    const order: string[] = [];
    const pairs = await measureInTurn(3, {
      ours: async () => order.push("ours"),
      peer: async () => order.push("peer"),
    });
    expect(order).toEqual(["ours", "peer", "peer", "ours", "ours", "peer"]);
    expect(pairs).toEqual({ ours: [1, 4, 5], peer: [2, 3, 6] });
  });

  it("refuses fewer than three rounds", async () => {
    const measure = { ours: async () => 1, peer: async () => 1 };
    await expect(measureInTurn(2, measure)).rejects.toThrow("at least 3");
  });
});

describe("median()", () => {
  it.each([
    [[7], 7],
    [[1, 100, 3], 3],
    [[4, 1, 2, 3], 2.5],
  ])("of %j is %d", (values, expected) => {
    expect(median(values)).toBe(expected);
  });
});

describe("figures", () => {
  it("have a ratio above 1 where ours is better, whichever way better is", () => {
    const faster = comparedWithPeer("dhcp", RATE, { ours: [9000, 1, 9001], peer: [6000, 6000, 9999] });
    expect(faster.figure).toEqual({
      bench: "dhcp",
      case: "4-way/s vs kea",
      unit: "1/s",
      ours: 9000,
      peer: 6000,
      ratio: 1.5,
    });
    const slower = comparedWithPeer("x", { ...RATE, better: "lower" }, { ours: [2, 2, 2], peer: [1, 1, 1] });
    expect(slower.figure.ratio).toBe(0.5);
  });

  it("without a peer carry their limit and whether they meet it", () => {
    const bound = { case: "memory", unit: "MB", better: "lower", limit: 300 } as const;
    expect(heldAgainstLimit("dhcp", bound, 300.04).figure).toEqual({
      bench: "dhcp",
      case: "memory",
      unit: "MB",
      ours: 300,
      peer: null,
      ratio: null,
      limit: 300,
      ok: true,
    });
    expect(heldAgainstLimit("dhcp", bound, 301).figure.ok).toBe(false);
    expect(heldAgainstLimit("dhcp", { ...bound, better: "higher" }, 301).figure.ok).toBe(true);
  });

  it("are shown with what was asked for", () => {
    const results = [
      comparedWithPeer("dhcp", RATE, { ours: [9000, 9000, 9000], peer: [8000, 8000, 8000] }),
      comparedWithPeer("dhcp", { ...RATE, case: "vs dnsmasq", bar: null }, { ours: [9000], peer: [90] }),
      heldAgainstLimit("dhcp", { case: "memory", unit: "MB", better: "lower", limit: 300 }, 123.456),
    ];
    expect(formatResults(results)).toBe(
      [
        "case             ours  peer  unit   ratio  asked",
        "4-way/s vs kea   9000  8000  1/s   1.13 ×  ≥ 1.5 ×    missed",
        "vs dnsmasq       9000    90  1/s    100 ×",
        "memory          123.5        MB            limit 300  ok",
      ].join("\n"),
    );
  });
});
