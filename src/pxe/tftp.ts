/**
 * One TFTP transfer from us to a client, as a table of what to send next (RFC 1350; options 2347, 2348, 2349; windows
 * 7440). Knows block numbers and times; neither sockets nor the file's bytes.
 */
import type { EpochMs } from "../core/time.ts";

export interface Transfer {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** Blocks sent before an acknowledgement is awaited. */
  readonly windowBlocks: number;
  /** First wait for an acknowledgement; doubles with each repetition. */
  readonly timeoutMs: number;
  /** What was agreed on; empty where the client asked for nothing. */
  readonly options: ReadonlyMap<string, string>;
  /** "options": our option acknowledgement is out and block 0 is awaited. */
  readonly phase: "options" | "data";
  /** Blocks count from 1 and do not wrap here; on the wire they do, after 65535. */
  readonly acknowledged: number;
  readonly sent: number;
  /** This acknowledgement's window was already sent again: its next copy means nothing. */
  readonly repeatedAfterAck: boolean;
  readonly repetitions: number;
  readonly deadline: EpochMs;
}

export type TransferInput =
  | { readonly kind: "ack"; readonly block: number }
  | { readonly kind: "error"; readonly message: string }
  /** The deadline has passed. */
  | { readonly kind: "silence" };

export type TransferAction =
  | { readonly kind: "send-option-ack" }
  | { readonly kind: "send-blocks"; readonly first: number; readonly last: number }
  | { readonly kind: "wait" }
  | { readonly kind: "done" }
  /** The client asked for the size and left: UEFI does so before it fetches. */
  | { readonly kind: "size-told" }
  | { readonly kind: "failed"; readonly reason: string };

export interface TransferStep {
  readonly transfer: Transfer;
  readonly action: TransferAction;
}

const DEFAULT_BLOCK_BYTES = 512;
/** A block in one Ethernet frame with IP and UDP headers: fragments are what boot ROMs lose. */
const MAX_BLOCK_BYTES = 1468;
/** 94 KB in flight: fills 25 ms of a gigabit link's share, and stays below a ROM's receive ring. */
const MAX_WINDOW_BLOCKS = 64;
const DEFAULT_TIMEOUT_MS = 1000;
const MAX_TIMEOUT_MS = 8000;
/** About half a minute of silence: longer than any firmware waits. */
const MAX_REPETITIONS = 6;

/**
 * Agrees on options; values beyond ours are answered with ours, malformed and unknown options are left out, as RFC 2347
 * allows.
 */
export function startTransfer(
  requested: ReadonlyMap<string, string>,
  sizeBytes: number,
  now: EpochMs,
): TransferStep {
  const blockBytes = optionValue(requested, "blksize", 8, 65_464, MAX_BLOCK_BYTES);
  const windowBlocks = optionValue(requested, "windowsize", 1, 65_535, MAX_WINDOW_BLOCKS);
  const timeoutSeconds = optionValue(requested, "timeout", 1, 255, 255);
  const agreed = new Map<string, string>();
  if (blockBytes !== undefined) agreed.set("blksize", String(blockBytes));
  if (windowBlocks !== undefined) agreed.set("windowsize", String(windowBlocks));
  if (timeoutSeconds !== undefined) agreed.set("timeout", String(timeoutSeconds));
  if (requested.has("tsize")) agreed.set("tsize", String(sizeBytes));
  const timeoutMs = timeoutSeconds === undefined ? DEFAULT_TIMEOUT_MS : timeoutSeconds * 1000;
  const transfer: Transfer = {
    sizeBytes,
    blockBytes: blockBytes ?? DEFAULT_BLOCK_BYTES,
    windowBlocks: windowBlocks ?? 1,
    timeoutMs,
    options: agreed,
    phase: "options",
    acknowledged: 0,
    sent: 0,
    repeatedAfterAck: false,
    repetitions: 0,
    deadline: now + timeoutMs,
  };
  return agreed.size > 0
    ? { transfer, action: { kind: "send-option-ack" } }
    : sendWindow({ ...transfer, phase: "data" }, now);
}

/** A file whose size is a whole number of blocks ends with an empty one. */
export function lastBlock(transfer: Transfer): number {
  return Math.floor(transfer.sizeBytes / transfer.blockBytes) + 1;
}

/** @param now may run backwards: a wait then lasts longer, nothing else */
export function stepTransfer(transfer: Transfer, input: TransferInput, now: EpochMs): TransferStep {
  switch (input.kind) {
    case "error":
      return { transfer, action: endOf(transfer, input.message) };
    case "silence":
      return repeat(transfer, now);
    case "ack":
      return transfer.phase === "options"
        ? acceptOptions(transfer, input.block, now)
        : acceptAck(transfer, input.block, now);
  }
}

function endOf(transfer: Transfer, message: string): TransferAction {
  if (transfer.phase === "options" && transfer.options.has("tsize")) return { kind: "size-told" };
  return {
    kind: "failed",
    reason: `the client stopped at block ${transfer.acknowledged}: ${message || "no reason given"}`,
  };
}

function acceptOptions(transfer: Transfer, block: number, now: EpochMs): TransferStep {
  if (block !== 0) return wait(transfer);
  return sendWindow({ ...transfer, phase: "data", repetitions: 0 }, now);
}

function acceptAck(transfer: Transfer, wireBlock: number, now: EpochMs): TransferStep {
  const acknowledged = transfer.acknowledged + ((wireBlock - transfer.acknowledged) & 0xffff);
  if (acknowledged > transfer.sent) return wait(transfer);
  if (acknowledged === transfer.acknowledged) return acceptRepeatedAck(transfer, now);
  const progressed = { ...transfer, acknowledged, repeatedAfterAck: false, repetitions: 0 };
  if (acknowledged === lastBlock(transfer)) return { transfer: progressed, action: { kind: "done" } };
  return sendWindow(progressed, now);
}

/**
 * In lock-step a repeated acknowledgement is never answered: each answer would be doubled for the rest of the transfer
 * (Sorcerer's Apprentice, RFC 1123 §4.2.3.1). In a window it says that the first block of it was lost (RFC 7440 §4), and
 * is answered once.
 */
function acceptRepeatedAck(transfer: Transfer, now: EpochMs): TransferStep {
  if (transfer.windowBlocks === 1 || transfer.repeatedAfterAck) return wait(transfer);
  return sendWindow({ ...transfer, repeatedAfterAck: true }, now);
}

function repeat(transfer: Transfer, now: EpochMs): TransferStep {
  if (transfer.repetitions >= MAX_REPETITIONS) {
    const reason = `no answer after block ${transfer.acknowledged}, asked ${MAX_REPETITIONS} times`;
    return { transfer, action: { kind: "failed", reason } };
  }
  const repeated = { ...transfer, repetitions: transfer.repetitions + 1 };
  if (transfer.phase === "data") return sendWindow(repeated, now);
  return {
    transfer: { ...repeated, deadline: deadline(repeated, now) },
    action: { kind: "send-option-ack" },
  };
}

function sendWindow(transfer: Transfer, now: EpochMs): TransferStep {
  const first = transfer.acknowledged + 1;
  const last = Math.min(transfer.acknowledged + transfer.windowBlocks, lastBlock(transfer));
  return {
    transfer: { ...transfer, sent: last, deadline: deadline(transfer, now) },
    action: { kind: "send-blocks", first, last },
  };
}

function deadline(transfer: Transfer, now: EpochMs): EpochMs {
  const longest = Math.max(MAX_TIMEOUT_MS, transfer.timeoutMs);
  return now + Math.min(transfer.timeoutMs * 2 ** transfer.repetitions, longest);
}

function wait(transfer: Transfer): TransferStep {
  return { transfer, action: { kind: "wait" } };
}

function optionValue(
  requested: ReadonlyMap<string, string>,
  name: string,
  least: number,
  most: number,
  ours: number,
): number | undefined {
  const text = requested.get(name);
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined;
  const value = Number(text);
  return value < least || value > most ? undefined : Math.min(value, ours);
}
