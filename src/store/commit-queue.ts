/**
 * Lets commits that arrive while one is being written share the next transaction and its fsync. Each keeps an outcome of
 * its own: a savepoint undoes the one that is refused and nothing else.
 */
import type { ControlledTransaction, Kysely } from "kysely";
import { applyChange } from "./apply-change.ts";
import type { CommitOutcome, EventRecord, StoreChange } from "./ports.ts";
import type { Schema } from "./schema.ts";

/** Commits in one transaction: past this many, the gain per fsync is small and the first one waits too long. */
const MAX_SHARED = 256;

interface Waiting {
  readonly changes: readonly StoreChange[];
  readonly resolve: (outcome: CommitOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** What differs between databases: how each says "this key is taken", and how its other failures read for people. */
export interface DatabaseErrors {
  isUniqueViolation(error: unknown): boolean;
  translate(error: unknown): unknown;
}

export interface CommitListeners {
  /** Once per transaction, before its commits resolve. */
  onEvents(events: readonly EventRecord[]): void;
  /** Once per commit, before it resolves. */
  onCommitted(changes: readonly StoreChange[]): void;
}

export class CommitQueue {
  readonly #db: Kysely<Schema>;
  readonly #errors: DatabaseErrors;
  readonly #listeners: CommitListeners;
  readonly #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(db: Kysely<Schema>, errors: DatabaseErrors, listeners: CommitListeners) {
    this.#db = db;
    this.#errors = errors;
    this.#listeners = listeners;
  }

  commit(changes: readonly StoreChange[]): Promise<CommitOutcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, resolve, reject });
      this.#running ??= this.#drain();
    });
  }

  /** Resolves when everything that waited has its outcome. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    // One turn of the event loop: requests that arrived together join the same transaction.
    await new Promise(resolve => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.#writeTogether(this.#waiting.splice(0, MAX_SHARED));
    this.#running = undefined;
  }

  /** A failure that is not a refusal (a full disk, a bug) must only hurt the commit that caused it: try one by one. */
  async #writeTogether(batch: readonly Waiting[]): Promise<void> {
    let outcomes: CommitOutcome[];
    try {
      outcomes = await this.#writeInOneTransaction(batch);
    } catch (error) {
      const [only, ...others] = batch;
      if (others.length === 0) only?.reject(this.#errors.translate(error));
      else for (const waiting of batch) await this.#writeTogether([waiting]);
      return;
    }
    const events = outcomes.flatMap(outcome => (outcome.kind === "committed" ? outcome.events : []));
    if (events.length > 0) this.#listeners.onEvents(events);
    for (const [index, waiting] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) continue;
      if (outcome.kind === "committed") this.#listeners.onCommitted(waiting.changes);
      waiting.resolve(outcome);
    }
  }

  async #writeInOneTransaction(batch: readonly Waiting[]): Promise<CommitOutcome[]> {
    const transaction = await this.#db.startTransaction().execute();
    try {
      const outcomes: CommitOutcome[] = [];
      for (const waiting of batch) outcomes.push(await this.#writeOne(transaction, waiting.changes));
      await transaction.commit().execute();
      return outcomes;
    } catch (error) {
      // SQLite has already rolled back by itself after some errors (a full disk), and then refuses to do it again.
      await transaction
        .rollback()
        .execute()
        .catch(() => undefined);
      throw error;
    }
  }

  async #writeOne(
    transaction: ControlledTransaction<Schema>,
    changes: readonly StoreChange[],
  ): Promise<CommitOutcome> {
    const savepoint = await transaction.savepoint("commit").execute();
    const refuse = async (changeIndex: number, reason: "stale" | "taken" | "missing") => {
      await savepoint.rollbackToSavepoint("commit").execute();
      return { kind: "conflict", changeIndex, reason } as const;
    };
    const events: EventRecord[] = [];
    for (const [index, change] of changes.entries()) {
      try {
        const outcome = await applyChange(savepoint, change);
        if (outcome.kind === "refused") return await refuse(index, outcome.reason);
        if (outcome.event !== undefined) events.push(outcome.event);
      } catch (error) {
        if (!this.#errors.isUniqueViolation(error)) throw error;
        return await refuse(index, "taken");
      }
    }
    await savepoint.releaseSavepoint("commit").execute();
    return { kind: "committed", events };
  }
}
