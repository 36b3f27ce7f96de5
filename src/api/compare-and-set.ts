/** Changes one thing that has a revision: read, decide, save; again when someone else was faster. */
import { DrpError } from "../core/errors.ts";
import type { Store, StoreChange } from "../store/ports.ts";

/** A heartbeat may come between read and save; five in a row do not happen to an operator's request. */
const MAX_TRIES = 5;

interface Change<T extends { readonly revision: number }> {
  readonly store: Store;
  /** @throws {DrpError} when there is no such thing */
  readonly read: () => Promise<T>;
  /** @throws {DrpError} when the change is refused */
  readonly decide: (current: T) => { readonly changed: T; readonly changes: readonly StoreChange[] };
  /** If-Match: with it, a change by someone else is an error and not a reason to try again. */
  readonly expectedRevision: number | undefined;
  /** What to say when a name or an address already belongs to another. */
  readonly taken: (changed: T) => DrpError;
}

/** @throws {DrpError} precondition.failed */
export async function compareAndSet<T extends { readonly revision: number }>(change: Change<T>): Promise<T> {
  for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
    const current = await change.read();
    if (change.expectedRevision !== undefined && current.revision !== change.expectedRevision) {
      throw staleError(change.expectedRevision, current.revision);
    }
    const { changed, changes } = change.decide(current);
    const outcome = await change.store.commit(changes);
    if (outcome.kind === "committed") return changed;
    if (outcome.reason === "taken") throw change.taken(changed);
  }
  throw new DrpError("precondition.failed", "others keep changing this at the same time", {
    advice: "Try again in a moment.",
  });
}

function staleError(expected: number, actual: number): DrpError {
  return new DrpError(
    "precondition.failed",
    `it is at revision ${actual}, not ${expected}: someone changed it`,
    {
      advice: "Read it again, and repeat the change if it is still wanted.",
      facts: { expected, actual },
    },
  );
}
