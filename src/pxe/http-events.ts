/** What a machine's timeline says of a file that it fetched over HTTP, and how far it got. */
import type { BootEvent } from "../dhcp/boot-event.ts";

export type FileSent =
  /** Only headers: HEAD. */
  | { readonly kind: "size"; readonly fileBytes: number }
  | {
      readonly kind: "bytes";
      readonly fileBytes: number;
      /** Null: the whole file was asked for. */
      readonly firstByte: number | null;
      /** Asked for. */
      readonly sizeBytes: number;
      /** Given to the network; the machine may have seen less. */
      readonly doneBytes: number;
      /** Why it was broken off; null: it is whole. */
      readonly problem: string | null;
    }
  /** The client has it, or cannot have what it wants. */
  | { readonly kind: "none" };

/** @returns undefined where there is nothing to tell */
export function describeFileSent(path: string, sent: FileSent, durationMs: number): BootEvent | undefined {
  if (sent.kind === "none") return undefined;
  if (sent.kind === "size") {
    const { fileBytes } = sent;
    return {
      kind: "http.size",
      summary: `asked for the size of ${path}, ${fileBytes} bytes`,
      facts: { path, sizeBytes: fileBytes },
    };
  }
  const { fileBytes, firstByte, sizeBytes, doneBytes, problem } = sent;
  const part = firstByte === null ? {} : { firstByte, fileBytes };
  const facts = { path, sizeBytes, doneBytes, durationMs, ...part };
  const from = firstByte === null ? "" : ` from byte ${firstByte}`;
  return problem === null
    ? { kind: "http.done", summary: `${path}, ${sizeBytes} bytes${from}`, facts }
    : {
        kind: "http.failed",
        summary: `${path}${from}: ${doneBytes} of ${sizeBytes} bytes, then ${problem}`,
        facts,
      };
}
