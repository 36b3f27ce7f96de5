/** What a client and we said to each other, compared with the text that was reviewed: `vitest -u` writes it anew. */
import { expect } from "vitest";
import type { Capture } from "../../../helpers/pcap/capture-in.ts";
import { readPackets } from "../../../helpers/pcap/packets.ts";
import { renderExchange } from "../../../helpers/pcap/render-exchange.ts";

/** @param name of the file in test/fixtures/exchanges, without ".txt" @param ourWords what our server says of it, for the end */
export async function expectExchange(
  capture: Capture | undefined,
  name: string,
  ourWords?: string,
): Promise<void> {
  if (capture === undefined) throw new Error("nothing was captured");
  const exchange = renderExchange(readPackets(await capture.stop()));
  const text = ourWords === undefined ? exchange : `${exchange}${ourWords}\n`;
  const golden = new URL(`../../../fixtures/exchanges/${name}.txt`, import.meta.url).pathname;
  await expect(text).toMatchFileSnapshot(golden);
}
