/** Chunks from the site's open boot server, over a few connections that stay open. */
import { Agent } from "node:http";
import type { FetchFrame } from "../../../images/io/fetch-image.ts";
import { CHUNK_BYTES } from "../../../images/manifest.ts";
import type { Say } from "./console.ts";
import { exchange } from "./http-request.ts";
import { retryWhileUnreachable } from "./retry.ts";

/** zstd's worst case is a few bytes beyond the plain chunk (ZSTD_compressBound: 0.4 %). */
const MAX_FRAME_BYTES = CHUNK_BYTES + CHUNK_BYTES / 16;
const CONNECTIONS = 4;

export function createFrameFetcher(bootUrl: string, say: Say): { fetchFrame: FetchFrame; close: () => void } {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  return {
    fetchFrame: (digest, signal) =>
      retryWhileUnreachable(
        `fetching chunk ${digest.slice(0, 12)}`,
        say,
        () =>
          exchange({ url: `${bootUrl}/chunks/${digest}`, agent, maxAnswerBytes: MAX_FRAME_BYTES, signal }),
        signal,
      ),
    close: () => agent.destroy(),
  };
}
