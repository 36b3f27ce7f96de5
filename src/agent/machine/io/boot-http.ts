/** Chunks from the site's open boot server, over a few connections that stay open. */
import { DrpError } from "../../../core/errors.ts";
import type { FetchFrame } from "../../../images/io/fetch-image.ts";
import { ChunkConnection } from "./chunk-connection.ts";
import type { Say } from "./console.ts";
import { judgeAnswer, unreachable } from "./http-request.ts";
import { retryWhileUnreachable } from "./retry.ts";

/** Enough that one is always sending while others wait for the site's disk. */
const CONNECTIONS = 4;

export function createFrameFetcher(bootUrl: string, say: Say): { fetchFrame: FetchFrame; close: () => void } {
  const base = new URL(bootUrl);
  const connections = new ConnectionPool(base);
  const fetchOnce: FetchFrame = async (digest, memory, signal) => {
    const url = `${bootUrl}/chunks/${digest}`;
    const answer = await connections
      .use(signal, connection => connection.fetch(new URL(url).pathname, memory, signal))
      .catch(cause => {
        throw unreachable(`${url} does not answer`, cause);
      });
    if (answer.status === 503) throw stillComing(digest);
    return judgeAnswer(url, answer);
  };
  return {
    fetchFrame: (digest, memory, signal) =>
      retryWhileUnreachable(
        `fetching chunk ${digest.slice(0, 12)}`,
        say,
        () => fetchOnce(digest, memory, signal),
        signal,
      ),
    close: () => connections.close(),
  };
}

/** A site fetches an image once for all its machines; over a thin line, or with its budget spent, that takes hours. */
function stillComing(digest: string): DrpError {
  return new DrpError("timed-out", `chunk ${digest.slice(0, 12)} is still on its way to the site`, {
    advice: "Nothing: it goes on by itself. `drp sites show SITE` says what holds it up.",
  });
}

class ConnectionPool {
  readonly #base: URL;
  readonly #idle: ChunkConnection[] = [];
  readonly #waiting: (() => void)[] = [];
  #free = CONNECTIONS;

  constructor(base: URL) {
    this.#base = base;
  }

  async use<T>(signal: AbortSignal, action: (connection: ChunkConnection) => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>(resolve => this.#waiting.push(resolve));
    else this.#free--;
    try {
      const connection = this.#takeIdle() ?? (await ChunkConnection.open(this.#base, signal));
      const result = await action(connection);
      this.#idle.push(connection);
      return result;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  #takeIdle(): ChunkConnection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || connection.isOpen) return connection;
    }
  }
}
