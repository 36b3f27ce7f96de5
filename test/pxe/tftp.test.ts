import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  doneBytes,
  startTransfer,
  stepTransfer,
  type Transfer,
  type TransferAction,
  type TransferInput,
  type TransferStep,
} from "../../src/pxe/tftp.ts";
import { agreeOnTerms } from "../../src/pxe/tftp-terms.ts";

const start = (requested: Record<string, string>, sizeBytes: number): TransferStep =>
  startTransfer(agreeOnTerms(new Map(Object.entries(requested)), sizeBytes, 1468), 0);

/** Runs inputs one after another, at time 0, and tells what came of each. */
function run(requested: Record<string, string>, sizeBytes: number, inputs: readonly TransferInput[]) {
  let { transfer, action } = start(requested, sizeBytes);
  const actions = [describeAction(transfer, action)];
  for (const input of inputs) {
    ({ transfer, action } = stepTransfer(transfer, input, 0));
    actions.push(describeAction(transfer, action));
  }
  return actions;
}

function describeAction(transfer: Transfer, action: TransferAction): string {
  switch (action.kind) {
    case "send-blocks":
      return `blocks ${action.first}-${action.last}`;
    case "send-option-ack":
      return `agree ${[...transfer.terms.agreed].map(pair => pair.join("=")).join(" ")}`;
    case "done":
      return action.lastAckMissing ? "done, last acknowledgement missing" : "done";
    case "failed":
      return `failed: ${action.reason}`;
    default:
      return action.kind;
  }
}

const ack = (block: number): TransferInput => ({ kind: "ack", block });
const silence: TransferInput = { kind: "silence" };

describe("a TFTP transfer", () => {
  it("goes in lock-step without options (RFC 1350)", () => {
    expect(run({}, 1000, [ack(1), ack(2)])).toEqual(["blocks 1-1", "blocks 2-2", "done"]);
  });

  it("ends with an empty block when the size is a whole number of blocks", () => {
    expect(run({}, 1024, [ack(1), ack(2), ack(3)])).toEqual([
      "blocks 1-1",
      "blocks 2-2",
      "blocks 3-3",
      "done",
    ]);
    expect(run({}, 0, [ack(1)])).toEqual(["blocks 1-1", "done"]);
  });

  it("never answers a repeated acknowledgement in lock-step (Sorcerer's Apprentice, RFC 1123 §4.2.3.1)", () => {
    expect(run({}, 5000, [ack(1), ack(1), ack(1)])).toEqual(["blocks 1-1", "blocks 2-2", "wait", "wait"]);
  });

  it("sends a window again once when its first block was lost, and from the gap on for a later one (RFC 7440 §4)", () => {
    expect(run({ windowsize: "4" }, 9000, [ack(0), ack(0), ack(0), ack(2), ack(6)])).toEqual([
      "agree windowsize=4",
      "blocks 1-4",
      "blocks 1-4",
      "wait",
      "blocks 3-6",
      "blocks 7-10",
    ]);
  });

  it("ignores acknowledgements of blocks that were never sent", () => {
    expect(run({}, 5000, [ack(7), ack(65535)])).toEqual(["blocks 1-1", "wait", "wait"]);
  });

  it("lets block numbers roll over after 65535", () => {
    let { transfer } = start({}, 512 * 70_000);
    for (let block = 1; block <= 70_000; block++)
      ({ transfer } = stepTransfer(transfer, ack(block & 0xffff), 0));
    expect(stepTransfer(transfer, ack(70_001 & 0xffff), 0).action).toEqual({
      kind: "done",
      lastAckMissing: false,
    });
  });

  it("takes an acknowledgement of the round before the rollover for an old one", () => {
    let { transfer } = start({ windowsize: "64" }, 512 * 70_000);
    for (let block = 0; block <= 65_536; block += 64)
      ({ transfer } = stepTransfer(transfer, ack(block & 0xffff), 0));
    expect(transfer).toMatchObject({ acknowledged: 65_536, sent: 65_600 });
    expect(stepTransfer(transfer, ack(65_535), 0).action).toEqual({ kind: "wait" });
    expect(stepTransfer(transfer, ack(64), 0).action).toEqual({
      kind: "send-blocks",
      first: 65_601,
      last: 65_664,
    });
  });

  /** @returns how long each wait is, and what ends them */
  function listenToSilence({ transfer, action }: TransferStep, now: number) {
    const waits: number[] = [];
    for (let at = now; action.kind.startsWith("send"); ) {
      waits.push(transfer.deadlineMs - at);
      at = transfer.deadlineMs;
      ({ transfer, action } = stepTransfer(transfer, silence, at));
    }
    return { waits, end: describeAction(transfer, action), transfer };
  }

  it("keeps a client that never answers for 15 s, and one that did for 30 s, each wait twice the one before", () => {
    expect(listenToSilence(start({}, 5000), 0)).toMatchObject({
      waits: [1000, 2000, 4000, 8000],
      end: "failed: no answer to our first packet for 15 s",
    });
    const answered = stepTransfer(start({}, 5000).transfer, ack(1), 40);
    expect(listenToSilence(answered, 40)).toMatchObject({
      waits: [120, 240, 480, 960, 1920, 3840, 7680, 8000, 8000],
      end: "failed: no answer after block 1 for 30 s",
    });
  });

  it("waits as long as the client asked for (RFC 2349)", () => {
    expect(listenToSilence(start({ timeout: "5" }, 5000), 0).waits).toEqual([5000, 5000, 5000]);
  });

  it("calls a file sent whole done when only its last acknowledgement is missing", () => {
    const last = stepTransfer(start({}, 600).transfer, ack(1), 1);
    const { end, transfer } = listenToSilence(last, 1);
    expect(end).toBe("done, last acknowledgement missing");
    expect([doneBytes(transfer), transfer.resentBlocks]).toEqual([512, 7]);
  });

  it("is not kept by a client that repeats old acknowledgements", () => {
    let { transfer, action } = stepTransfer(start({ windowsize: "2" }, 50_000).transfer, ack(0), 0);
    let now = 0;
    while (action.kind !== "failed" && now < 60_000) {
      now += 10;
      const input = now >= transfer.deadlineMs ? silence : ack(0);
      ({ transfer, action } = stepTransfer(transfer, input, now));
    }
    expect(now).toBeLessThan(40_000);
  });

  it("measures round trips only of what was sent once, and waits longer until one was measured (RFC 6298 §3, §5.7)", () => {
    let { transfer } = start({}, 500_000);
    ({ transfer } = stepTransfer(transfer, ack(1), 10));
    expect(transfer.roundTrip).toEqual({ smoothedMs: 10, variationMs: 5 });
    ({ transfer } = stepTransfer(transfer, silence, 110));
    ({ transfer } = stepTransfer(transfer, ack(2), 310));
    expect(transfer).toMatchObject({ roundTrip: { smoothedMs: 10 }, repetitions: 1, deadlineMs: 510 });
    ({ transfer } = stepTransfer(transfer, ack(3), 330));
    expect(transfer).toMatchObject({ roundTrip: { smoothedMs: 11.25 }, repetitions: 0 });
  });

  it("takes a repeated acknowledgement that comes sooner than a round trip for a doubled packet", () => {
    let { transfer, action } = start({ windowsize: "4" }, 9000);
    ({ transfer, action } = stepTransfer(transfer, ack(0), 20));
    ({ transfer, action } = stepTransfer(transfer, ack(4), 40));
    expect(describeAction(transfer, action)).toBe("blocks 5-8");
    expect(stepTransfer(transfer, ack(4), 41).action).toEqual({ kind: "wait" });
    expect(stepTransfer(transfer, ack(4), 60).action).toEqual({ kind: "send-blocks", first: 5, last: 8 });
  });

  it("answers a repeated request while it has heard nothing else, and never later", () => {
    const again: TransferInput = { kind: "request" };
    expect(run({ tsize: "0" }, 600, [again, ack(0), again])).toEqual([
      "agree tsize=600",
      "agree tsize=600",
      "blocks 1-1",
      "wait",
    ]);
    expect(run({}, 600, [again, ack(1), again])).toEqual(["blocks 1-1", "blocks 1-1", "blocks 2-2", "wait"]);
    const { transfer } = start({}, 600);
    expect(stepTransfer(transfer, again, 900).transfer.deadlineMs).toBe(transfer.deadlineMs);
  });

  it("tells a client that only asked for the size from one that broke off", () => {
    const leave: TransferInput = { kind: "error", code: 0, message: "User aborted" };
    const refuse: TransferInput = { kind: "error", code: 8, message: "" };
    const edk2: TransferInput = { kind: "error", code: 8, message: "User aborted the transfer" };
    for (const left of [leave, edk2]) {
      expect(run({ tsize: "0" }, 5000, [left])).toEqual(["agree tsize=5000", "size-told"]);
    }
    // RFC 2347: error 8 is about the options.
    expect(run({ tsize: "0" }, 5000, [refuse]).at(-1)).toBe(
      "failed: the client refused our options: no reason given",
    );
    expect(run({}, 5000, [ack(1), leave]).at(-1)).toBe("failed: the client stopped at block 1: User aborted");
  });

  it("delivers every block in order over a network that loses, doubles and delays", () => {
    const network = fc.record({
      sizeBytes: fc.nat(40_000),
      windowsize: fc.integer({ min: 1, max: 16 }),
      fates: fc.infiniteStream(fc.constantFrom("arrives", "arrives", "arrives", "lost", "doubled", "late")),
    });
    fc.assert(
      fc.property(network, ({ sizeBytes, windowsize, fates }) => {
        const requested = { windowsize: String(windowsize) };
        const received = downloadOver(fates, requested, sizeBytes);
        // Half a minute of losses ends a transfer; that is allowed, wrong blocks are not.
        expect(received.blocks).toEqual(
          Array.from({ length: received.blocks.length }, (_, index) => index + 1),
        );
        if (received.whole) expect(received.blocks).toHaveLength(Math.floor(sizeBytes / 512) + 1);
      }),
    );
  });
});

/** A client by RFC 7440 at the other end of a bad network; blocks count without wrapping. */
function downloadOver(fates: Iterator<string>, requested: Record<string, string>, sizeBytes: number) {
  let { transfer, action } = start(requested, sizeBytes);
  let now = 0;
  const blocks: number[] = [];
  let towardsClient: number[] = [];
  let towardsServer: number[] = [];
  const travel = (queue: number[], packet: number) => {
    const fate: string = fates.next().value;
    if (fate === "late") queue.unshift(packet);
    else if (fate !== "lost") queue.push(...(fate === "doubled" ? [packet, packet] : [packet]));
  };
  for (let turn = 0; turn < 20_000; turn++) {
    if (action.kind === "send-option-ack") travel(towardsClient, 0);
    if (action.kind === "send-blocks") {
      for (let block = action.first; block <= action.last; block++) travel(towardsClient, block);
    }
    if (action.kind === "done" || action.kind === "failed") {
      return { blocks, end: action.kind, whole: action.kind === "done" && !action.lastAckMissing };
    }
    let inWindow = 0;
    let gap = false;
    for (const block of towardsClient) {
      if (block === blocks.length + 1 && block <= transfer.terms.lastBlock) {
        blocks.push(block);
        inWindow++;
      } else gap = true;
    }
    if (inWindow > 0 || gap) travel(towardsServer, blocks.length);
    towardsClient = [];
    const [next, ...rest] = towardsServer;
    towardsServer = rest;
    const input = next === undefined ? silence : ack(next & 0xffff);
    now = next === undefined ? transfer.deadlineMs : now + 1;
    ({ transfer, action } = stepTransfer(transfer, input, now));
  }
  throw new Error("the transfer never ends");
}

describe("stepTransfer()", () => {
  const inputs = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant("ack" as const), block: fc.nat(80) }),
      fc.record({ kind: fc.constant("ack" as const), block: fc.nat(65_535) }),
      fc.constant({ kind: "silence" as const }),
      fc.constant({ kind: "request" as const }),
    ),
    { maxLength: 200 },
  );

  it("never sends a block outside the file or more than a window, whatever comes", () => {
    fc.assert(
      fc.property(
        inputs,
        fc.nat(30_000),
        fc.integer({ min: 1, max: 16 }),
        (events, sizeBytes, windowsize) => {
          let { transfer, action } = start({ windowsize: String(windowsize) }, sizeBytes);
          for (const [index, input] of events.entries()) {
            const before = transfer;
            ({ transfer, action } = stepTransfer(transfer, input, index * 7));
            expect(transfer.acknowledged).toBeGreaterThanOrEqual(before.acknowledged);
            expect(transfer.acknowledged).toBeLessThanOrEqual(transfer.furthest);
            if (action.kind === "done" || action.kind === "failed") return;
            if (action.kind !== "send-blocks") continue;
            expect(action.first).toBe(transfer.acknowledged + 1);
            expect(action.last).toBeLessThanOrEqual(transfer.terms.lastBlock);
            expect(action.last - action.first).toBeLessThan(windowsize);
          }
        },
      ),
    );
  });

  it("ends after silence from wherever it is", () => {
    fc.assert(
      fc.property(inputs, fc.nat(30_000), (events, sizeBytes) => {
        let { transfer, action } = start({ windowsize: "4", tsize: "0" }, sizeBytes);
        for (const input of events) ({ transfer, action } = stepTransfer(transfer, input, 0));
        let waits = 0;
        while (action.kind !== "done" && action.kind !== "failed" && waits < 50) {
          ({ transfer, action } = stepTransfer(transfer, silence, transfer.deadlineMs));
          waits++;
        }
        expect(waits).toBeLessThan(12);
      }),
    );
  });
});
