import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DecodeError } from "../../src/core/errors.ts";
import {
  lastBlock,
  startTransfer,
  stepTransfer,
  type Transfer,
  type TransferAction,
  type TransferInput,
} from "../../src/pxe/tftp.ts";
import { decodeTftp } from "../../src/pxe/tftp-packet.ts";

/** Runs inputs one after another, at time 0, and tells what came of each. */
function run(requested: Record<string, string>, sizeBytes: number, inputs: readonly TransferInput[]) {
  let { transfer, action } = startTransfer(new Map(Object.entries(requested)), sizeBytes, 0);
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
      return `agree ${[...transfer.options].map(pair => pair.join("=")).join(" ")}`;
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

  it.each([
    // RFC 2348, 2349, 7440: a server may answer with less than it was asked for.
    [{ blksize: "1428", tsize: "0" }, "agree blksize=1428 tsize=5000"],
    [{ blksize: "65464" }, "agree blksize=1468"],
    [{ windowsize: "16" }, "agree windowsize=16"],
    [{ windowsize: "65535" }, "agree windowsize=64"],
    [{ timeout: "3" }, "agree timeout=3"],
    [{ blksize: "7" }, "blocks 1-1"],
    [{ blksize: "-1", windowsize: "0", timeout: "256", multicast: "" }, "blocks 1-1"],
  ])("agrees on %o", (requested, first) => {
    expect(run(requested, 5000, [])).toEqual([first]);
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
    let { transfer } = startTransfer(new Map(), 512 * 70_000, 0);
    for (let block = 1; block <= 70_000; block++)
      ({ transfer } = stepTransfer(transfer, ack(block & 0xffff), 0));
    expect(stepTransfer(transfer, ack(70_001 & 0xffff), 0).action).toEqual({ kind: "done" });
  });

  it("waits twice as long at each repetition, then gives up", () => {
    let { transfer, action } = startTransfer(new Map(), 5000, 0);
    const waits: number[] = [];
    let now = 0;
    while (action.kind === "send-blocks") {
      waits.push(transfer.deadline - now);
      now = transfer.deadline;
      ({ transfer, action } = stepTransfer(transfer, silence, now));
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 8000, 8000, 8000]);
    expect(action).toEqual({ kind: "failed", reason: "no answer after block 0, asked 6 times" });
  });

  it("tells a client that only asked for the size from one that broke off", () => {
    const leave: TransferInput = { kind: "error", message: "User aborted" };
    expect(run({ tsize: "0" }, 5000, [leave])).toEqual(["agree tsize=5000", "size-told"]);
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
        const requested = new Map([["windowsize", String(windowsize)]]);
        const received = downloadOver(fates, requested, sizeBytes);
        // Six lost in a row end a transfer; that is allowed, wrong blocks are not.
        expect(received.blocks).toEqual(
          Array.from({ length: received.blocks.length }, (_, index) => index + 1),
        );
        if (received.end === "done") expect(received.blocks).toHaveLength(Math.floor(sizeBytes / 512) + 1);
      }),
    );
  });
});

/** A client by RFC 7440 at the other end of a bad network; blocks count without wrapping. */
function downloadOver(fates: Iterator<string>, requested: ReadonlyMap<string, string>, sizeBytes: number) {
  let { transfer, action } = startTransfer(requested, sizeBytes, 0);
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
    if (action.kind === "done" || action.kind === "failed") return { blocks, end: action.kind };
    let inWindow = 0;
    let gap = false;
    for (const block of towardsClient) {
      if (block === blocks.length + 1 && block <= lastBlock(transfer)) {
        blocks.push(block);
        inWindow++;
      } else gap = true;
    }
    if (inWindow > 0 || gap) travel(towardsServer, blocks.length);
    towardsClient = [];
    const [next, ...rest] = towardsServer;
    towardsServer = rest;
    const input = next === undefined ? silence : ack(next & 0xffff);
    ({ transfer, action } = stepTransfer(transfer, input, turn));
  }
  throw new Error("the transfer never ends");
}

describe("decodeTftp()", () => {
  const request = (text: string) => Buffer.from(`\0\x01${text}`, "latin1");

  it("reads a request and its options, in any case (RFC 2347)", () => {
    expect(decodeTftp(request("boot/ipxe.efi\0OCTET\0BlkSize\x001428\0tsize\x000\0"))).toEqual({
      kind: "read",
      fileName: "boot/ipxe.efi",
      mode: "octet",
      options: new Map([
        ["blksize", "1428"],
        ["tsize", "0"],
      ]),
    });
  });

  it("forgives what ROMs leave behind the last string, and an option without a value", () => {
    expect(decodeTftp(request("a\0octet\0\xff\xff"))).toMatchObject({ fileName: "a", mode: "octet" });
    expect(decodeTftp(request("a\0octet\0tsize\0"))).toMatchObject({ options: new Map() });
  });

  it("throws nothing but DecodeError, cut anywhere or random", () => {
    const whole = request("file\0octet\0blksize\x001428\0");
    const cuts = Array.from({ length: whole.length }, (_, length) => whole.subarray(0, length));
    for (const bytes of cuts) expectPacketOrDecodeError(bytes);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), expectPacketOrDecodeError));
    const opcode = fc.integer({ min: 0, max: 8 });
    fc.assert(
      fc.property(opcode, fc.uint8Array({ maxLength: 40 }), (code, rest) => {
        expectPacketOrDecodeError(Uint8Array.of(0, code, ...rest));
      }),
    );
  });
});

function expectPacketOrDecodeError(bytes: Uint8Array): void {
  try {
    decodeTftp(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
  }
}
