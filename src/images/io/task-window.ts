/** Work side by side, a bounded amount of it, so that whoever feeds it is held back instead of memory growing. */

export class TaskWindow {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Resolves when the task has started, which waits for a free place.
   *
   * @throws what an earlier task threw; nothing is started after a failure
   */
  async start(task: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running);
    this.#throwFailure();
    const running = task()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when every task has ended, well or not. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** @throws what the first task to fail threw */
  async finish(): Promise<void> {
    await this.settle();
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** Maps each item, up to `limit` at once, and gives the results in the items' order. */
export async function* mapInOrder<Item, Result>(
  items: AsyncIterable<Item>,
  limit: number,
  map: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, void> {
  const waiting: Promise<Result>[] = [];
  for await (const item of items) {
    const result = map(item);
    // A failure is met when its turn comes; until then it is not "unhandled".
    result.catch(() => {});
    waiting.push(result);
    const first = waiting.length === limit ? waiting.shift() : undefined;
    if (first !== undefined) yield await first;
  }
  for (const result of waiting) yield await result;
}
