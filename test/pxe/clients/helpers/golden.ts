/** What a client and we said to each other, compared with the text that was reviewed: `vitest -u` writes it anew. */
import { expect } from "vitest";
import type { Capture } from "../../../helpers/pcap/capture-in.ts";
import { readPackets } from "../../../helpers/pcap/packets.ts";
import { renderExchange } from "../../../helpers/pcap/render-exchange.ts";

export interface Expectation {
  /** What our server says of it, for the end. */
  readonly ourWords?: string;
  /** Where what comes next begins: whether the capture still holds some of that is a matter of time. */
  readonly before?: RegExp;
}

/** @param name of the file in test/fixtures/exchanges, without ".txt" */
export async function expectExchange(
  capture: Capture | undefined,
  name: string,
  { ourWords, before }: Expectation = {},
): Promise<void> {
  if (capture === undefined) throw new Error("nothing was captured");
  const captured = renderExchange(readPackets(await capture.stop()));
  const end = before === undefined ? -1 : captured.search(before);
  const exchange = end < 0 ? captured : captured.slice(0, end);
  const text = ourWords === undefined ? exchange : `${exchange}${ourWords}\n`;
  const golden = new URL(`../../../fixtures/exchanges/${name}.txt`, import.meta.url).pathname;
  await expect(text).toMatchFileSnapshot(golden);
}
