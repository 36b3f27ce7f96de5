/** How a transfer is told on a machine's timeline: what was fetched, how far it got, at what cost. */
import { doneBytes, type Transfer } from "./tftp.ts";
import type { TransferTerms } from "./tftp-terms.ts";

export type TftpEventKind = "start" | "done" | "size" | "missing" | "refused" | "failed";
export type TftpFacts = Readonly<Record<string, string | number | boolean>>;

export function startFacts(file: string, { sizeBytes, blockBytes, windowBlocks }: TransferTerms): TftpFacts {
  return { file, sizeBytes, blockBytes, windowBlocks };
}

/** @param durationMs from the request to the client's last answer */
export function transferFacts(file: string, transfer: Transfer, durationMs: number): TftpFacts {
  const { terms, resentBlocks } = transfer;
  return { ...startFacts(file, terms), doneBytes: doneBytes(transfer), durationMs, resentBlocks };
}

/** "ipxe.efi: 300001 bytes in 12 ms, 3 blocks sent again" */
export function describeDone(
  file: string,
  { terms, resentBlocks }: Transfer,
  durationMs: number,
  lastAckMissing: boolean,
): string {
  const again = resentBlocks === 0 ? "" : `, ${resentBlocks} blocks sent again`;
  const missing = lastAckMissing ? "; the last acknowledgement did not come" : "";
  return `${file}: ${terms.sizeBytes} bytes in ${durationMs} ms${again}${missing}`;
}
