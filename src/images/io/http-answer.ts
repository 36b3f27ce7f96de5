/** One answer of an HTTP server whose body streams by, under a limit of silence. */

/** Without an answer, or without a byte, a connection counts as broken. */
const SILENCE_MS = 60_000;

export class HttpAnswer implements AsyncDisposable {
  readonly #response: Response;
  readonly #watch: Watch;

  private constructor(response: Response, watch: Watch) {
    this.#response = response;
    this.#watch = watch;
  }

  /**
   * Redirects are not followed.
   *
   * @throws when nothing answers
   */
  static async of(url: URL, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const watch = new Watch();
    const response = await watch.during(fetch(url, { headers, redirect: "manual", signal: watch.signal }));
    return new HttpAnswer(response, watch);
  }

  get status(): number {
    return this.#response.status;
  }

  /** @returns "" when there is none */
  header(name: string): string {
    return this.#response.headers.get(name) ?? "";
  }

  /** @throws when the connection breaks, or nothing comes for too long; the time that the reader takes does not count */
  async *pieces(): AsyncGenerator<Uint8Array, void, void> {
    const reader = this.#response.body?.getReader();
    if (reader === undefined) return;
    for (;;) {
      const { value, done } = await this.#watch.during(reader.read());
      if (done) return;
      yield value;
    }
  }

  /** @throws {RangeError} when the body is longer */
  async small(limitBytes: number): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    let total = 0;
    for await (const piece of this.pieces()) {
      total += piece.length;
      if (total > limitBytes) throw new RangeError(`the answer is longer than ${limitBytes} bytes`);
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }

  /** Ends the connection where the body was not read to its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch.end();
  }
}

class Watch {
  readonly #abort = new AbortController();

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  async during<T>(step: Promise<T>): Promise<T> {
    const silence = new Error(`nothing came for ${SILENCE_MS / 1000} seconds`);
    const timer = setTimeout(() => this.#abort.abort(silence), SILENCE_MS);
    try {
      return await step;
    } finally {
      clearTimeout(timer);
    }
  }

  end(): void {
    this.#abort.abort();
  }
}
