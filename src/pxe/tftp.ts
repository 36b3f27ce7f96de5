/**
 * One TFTP transfer from us to a client, as a table of what to send next (RFC 1350; windows 7440). Knows block numbers and
 * times; neither sockets nor the file's bytes.
 */
import { TFTP_ERROR } from "./tftp-packet.ts";
import { observeRoundTrip, type RoundTrip, waitMs } from "./tftp-patience.ts";
import type { TransferTerms } from "./tftp-terms.ts";

/** Times are in milliseconds of one clock that does not jump; it need not tell the time of day. */
export interface Transfer {
  readonly terms: TransferTerms;
  /** "options": our option acknowledgement is out and block 0 is awaited. */
  readonly phase: "options" | "data";
  /** Whether the client has answered at all: a request alone can come from anybody, in anybody's name. */
  readonly confirmed: boolean;
  /** Blocks count from 1 and do not wrap here; on the wire they do, after 65535. */
  readonly acknowledged: number;
  /** The last block of the window that is out. */
  readonly sent: number;
  /** The last block that was ever sent: those up to it are sent again. */
  readonly furthest: number;
  readonly resentBlocks: number;
  readonly sentAtMs: number;
  /** What is out was sent once, so that its answer tells the round trip (Karn's rule). */
  readonly sentOnce: boolean;
  /** This acknowledgement's window was already sent again: its next copy means nothing. */
  readonly repeatedAfterAck: boolean;
  readonly repetitions: number;
  readonly progressAtMs: number;
  readonly deadlineMs: number;
  readonly roundTrip: RoundTrip | null;
}

export type TransferInput =
  | { readonly kind: "ack"; readonly block: number }
  | { readonly kind: "error"; readonly code: number; readonly message: string }
  /** The same request from the same port once more. */
  | { readonly kind: "request" }
  /** The deadline has passed. */
  | { readonly kind: "silence" };

export type TransferAction =
  | { readonly kind: "send-option-ack" }
  | { readonly kind: "send-blocks"; readonly first: number; readonly last: number }
  | { readonly kind: "wait" }
  | { readonly kind: "done"; readonly lastAckMissing: boolean }
  /** The client asked for the size and left: UEFI does so before it fetches. */
  | { readonly kind: "size-told" }
  | { readonly kind: "failed"; readonly reason: string };

export interface TransferStep {
  readonly transfer: Transfer;
  readonly action: TransferAction;
}

/** Longer than any firmware waits for a block: EDK2 gives up after 6 tries of 4 s. */
const MAX_SILENCE_MS = 30_000;
/**
 * Whoever never answered is kept half as long: it may be nobody, and if it is somebody, its request comes again. So is a
 * client to whom all was sent: it has most likely gone on (RFC 1350 §6).
 */
const MAX_SILENCE_AT_THE_ENDS_MS = 15_000;

const WAIT: TransferAction = { kind: "wait" };

export function startTransfer(terms: TransferTerms, nowMs: number): TransferStep {
  const transfer: Transfer = {
    terms,
    phase: terms.agreed.size > 0 ? "options" : "data",
    confirmed: false,
    acknowledged: 0,
    sent: 0,
    furthest: 0,
    resentBlocks: 0,
    sentAtMs: nowMs,
    sentOnce: true,
    repeatedAfterAck: false,
    repetitions: 0,
    progressAtMs: nowMs,
    deadlineMs: nowMs,
    roundTrip: null,
  };
  return transfer.phase === "data" ? sendWindow(transfer, nowMs, true) : sendOptionAck(transfer, nowMs, true);
}

/** Bytes that the client has acknowledged. */
export function doneBytes({ terms, acknowledged }: Transfer): number {
  return Math.min(acknowledged * terms.blockBytes, terms.sizeBytes);
}

export function stepTransfer(transfer: Transfer, input: TransferInput, nowMs: number): TransferStep {
  switch (input.kind) {
    case "error":
      return { transfer, action: endOf(transfer, input.code, input.message) };
    case "silence":
      return repeat(transfer, nowMs);
    case "request":
      return repeatFirst(transfer, nowMs);
    case "ack":
      return transfer.phase === "options"
        ? acceptOptions(transfer, input.block, nowMs)
        : acceptAck(transfer, input.block, nowMs);
  }
}

/** EDK2 has heard the size and leaves, with the code of a refusal (MdeModulePkg, Mtftp4Dxe; seen with OVMF 2022.11). */
const EDK2_LEAVES = "User aborted the transfer";

function endOf(transfer: Transfer, code: number, message: string): TransferAction {
  const why = message || "no reason given";
  if (transfer.phase === "data") {
    return { kind: "failed", reason: `the client stopped at block ${transfer.acknowledged}: ${why}` };
  }
  const refused = code === TFTP_ERROR.optionRefused && message !== EDK2_LEAVES;
  if (!refused && transfer.terms.agreed.has("tsize")) return { kind: "size-told" };
  return { kind: "failed", reason: `the client refused our options: ${why}` };
}

function acceptOptions(transfer: Transfer, block: number, nowMs: number): TransferStep {
  if (block !== 0) return { transfer, action: WAIT };
  return sendWindow({ ...progress(transfer, nowMs), phase: "data" }, nowMs, true);
}

function acceptAck(transfer: Transfer, wireBlock: number, nowMs: number): TransferStep {
  const acknowledged = transfer.acknowledged + ((wireBlock - transfer.acknowledged) & 0xffff);
  if (acknowledged > transfer.sent) return { transfer, action: WAIT };
  if (acknowledged === transfer.acknowledged) return acceptRepeatedAck(transfer, nowMs);
  const whole = acknowledged === transfer.sent;
  const progressed = { ...progress(transfer, nowMs, whole), acknowledged };
  if (acknowledged === transfer.terms.lastBlock) {
    return { transfer: progressed, action: { kind: "done", lastAckMissing: false } };
  }
  return sendWindow(progressed, nowMs, whole);
}

/** @param whole false: the answer is to a part of what was sent, and its time tells nothing */
function progress(transfer: Transfer, nowMs: number, whole = true): Transfer {
  const measured = transfer.sentOnce && whole;
  return {
    ...transfer,
    confirmed: true,
    roundTrip: measured
      ? observeRoundTrip(transfer.roundTrip, nowMs - transfer.sentAtMs)
      : transfer.roundTrip,
    repeatedAfterAck: false,
    // Kept until a round trip was measured anew, or a line that became slower would never be waited for (RFC 6298 §5.7).
    repetitions: measured ? 0 : transfer.repetitions,
    progressAtMs: nowMs,
  };
}

/**
 * In lock-step a repeated acknowledgement is never answered: each answer would be doubled for the rest of the transfer
 * (Sorcerer's Apprentice, RFC 1123 §4.2.3.1). In a window it says that the first block of it was lost (RFC 7440 §4), and
 * is answered once; one that comes sooner than a round trip after the window was doubled on its way, and says nothing.
 */
function acceptRepeatedAck(transfer: Transfer, nowMs: number): TransferStep {
  const { terms, roundTrip, sentAtMs } = transfer;
  const tooSoon = roundTrip !== null && nowMs - sentAtMs < roundTrip.smoothedMs / 2;
  if (terms.windowBlocks === 1 || transfer.repeatedAfterAck || tooSoon) return { transfer, action: WAIT };
  return sendWindow({ ...transfer, repeatedAfterAck: true }, nowMs, false);
}

function repeat(transfer: Transfer, nowMs: number): TransferStep {
  const midway = transfer.confirmed && transfer.sent < transfer.terms.lastBlock;
  const patienceMs = midway ? MAX_SILENCE_MS : MAX_SILENCE_AT_THE_ENDS_MS;
  if (nowMs - transfer.progressAtMs >= patienceMs) return { transfer, action: giveUp(transfer, patienceMs) };
  const repeated = { ...transfer, repetitions: transfer.repetitions + 1 };
  return transfer.phase === "data"
    ? sendWindow(repeated, nowMs, false)
    : sendOptionAck(repeated, nowMs, false);
}

function giveUp({ confirmed, sent, acknowledged, terms }: Transfer, patienceMs: number): TransferAction {
  if (confirmed && sent === terms.lastBlock) return { kind: "done", lastAckMissing: true };
  const since = confirmed ? `after block ${acknowledged}` : "to our first packet";
  return { kind: "failed", reason: `no answer ${since} for ${patienceMs / 1000} s` };
}

/** The client did not hear our first packet, or its request was doubled on the way: the deadline stays as it is. */
function repeatFirst(transfer: Transfer, nowMs: number): TransferStep {
  if (transfer.confirmed) return { transfer, action: WAIT };
  const { deadlineMs } = transfer;
  const step =
    transfer.phase === "data" ? sendWindow(transfer, nowMs, false) : sendOptionAck(transfer, nowMs, false);
  return { ...step, transfer: { ...step.transfer, deadlineMs } };
}

function sendOptionAck(transfer: Transfer, nowMs: number, sentOnce: boolean): TransferStep {
  return { transfer: sentNow(transfer, nowMs, sentOnce), action: { kind: "send-option-ack" } };
}

function sendWindow(transfer: Transfer, nowMs: number, sentOnce: boolean): TransferStep {
  const { terms, acknowledged, furthest } = transfer;
  const first = acknowledged + 1;
  const last = Math.min(acknowledged + terms.windowBlocks, terms.lastBlock);
  return {
    transfer: {
      ...sentNow(transfer, nowMs, sentOnce),
      sent: last,
      furthest: Math.max(furthest, last),
      resentBlocks: transfer.resentBlocks + Math.max(0, Math.min(furthest, last) - acknowledged),
    },
    action: { kind: "send-blocks", first, last },
  };
}

function sentNow(transfer: Transfer, nowMs: number, sentOnce: boolean): Transfer {
  const { terms, roundTrip, repetitions } = transfer;
  return {
    ...transfer,
    sentAtMs: nowMs,
    sentOnce,
    deadlineMs: nowMs + waitMs(terms.timeoutMs, roundTrip, repetitions),
  };
}
