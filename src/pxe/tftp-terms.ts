/**
 * What a transfer's two ends agree on before its first block (options of RFC 2347: blksize 2348, tsize and timeout 2349,
 * windowsize 7440). Knows what was asked and what a frame holds; not who asked.
 */

export interface TransferTerms {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** Blocks sent before an acknowledgement is awaited. */
  readonly windowBlocks: number;
  /** Blocks count from 1 and do not wrap here. A file whose size is a whole number of blocks ends with an empty one. */
  readonly lastBlock: number;
  /** How long the client wants us to wait before we repeat; null: as the round trips tell. */
  readonly timeoutMs: number | null;
  /** What we acknowledge; empty where the client asked for nothing that we know. */
  readonly agreed: ReadonlyMap<string, string>;
}

const DEFAULT_BLOCK_BYTES = 512;
const MAX_BLOCK_BYTES = 65_464;
/** IP without options 20, UDP 8, TFTP 4. */
const HEADER_BYTES = 32;
/** Fills 25 ms of a gigabit link's share at full blocks, and stays below a ROM's receive ring. */
const MAX_WINDOW_BLOCKS = 64;
/** In flight at most: below the 208 KB that Linux gives a socket to receive, where small packets count for much more. */
const MAX_WINDOW_BYTES = 96 * 1024;
/** RFC 2349 allows 255 s; so long a wait would keep the slot of a machine that is off. U-Boot asks for 5. */
const MAX_TIMEOUT_SECONDS = 20;

/** @returns the largest block that a frame carries whole: fragments are what boot ROMs lose */
export function blockBytesInFrame(mtuBytes: number): number {
  return Math.min(Math.max(mtuBytes - HEADER_BYTES, DEFAULT_BLOCK_BYTES), MAX_BLOCK_BYTES);
}

/**
 * Values beyond ours are answered with ours; malformed and unknown options, and waits longer than ours, are left out, as RFC
 * 2347 allows.
 *
 * @param maxBlockBytes by the interface, see blockBytesInFrame()
 */
export function agreeOnTerms(
  requested: ReadonlyMap<string, string>,
  sizeBytes: number,
  maxBlockBytes: number,
): TransferTerms {
  const askedBlockBytes = optionValue(requested, "blksize", 8, MAX_BLOCK_BYTES);
  const askedWindow = optionValue(requested, "windowsize", 1, 65_535);
  const timeoutSeconds = optionValue(requested, "timeout", 1, MAX_TIMEOUT_SECONDS);
  const blockBytes = Math.min(askedBlockBytes ?? DEFAULT_BLOCK_BYTES, maxBlockBytes);
  const windowBlocks = Math.min(askedWindow ?? 1, maxWindowBlocks(blockBytes));
  const agreed = new Map<string, string>();
  if (askedBlockBytes !== undefined) agreed.set("blksize", String(blockBytes));
  if (askedWindow !== undefined) agreed.set("windowsize", String(windowBlocks));
  if (timeoutSeconds !== undefined) agreed.set("timeout", String(timeoutSeconds));
  if (requested.has("tsize")) agreed.set("tsize", String(sizeBytes));
  return {
    sizeBytes,
    blockBytes,
    windowBlocks,
    lastBlock: Math.floor(sizeBytes / blockBytes) + 1,
    timeoutMs: timeoutSeconds === undefined ? null : timeoutSeconds * 1000,
    agreed,
  };
}

function maxWindowBlocks(blockBytes: number): number {
  return Math.max(1, Math.min(MAX_WINDOW_BLOCKS, Math.floor(MAX_WINDOW_BYTES / blockBytes)));
}

function optionValue(
  requested: ReadonlyMap<string, string>,
  name: string,
  least: number,
  most: number,
): number | undefined {
  const text = requested.get(name);
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined;
  const value = Number(text);
  return value < least || value > most ? undefined : value;
}
