import type { EventRecord } from "./ports.ts";

/** What became of one change of a commit; a refusal undoes the whole commit. */
export type ChangeOutcome =
  | { readonly kind: "applied"; readonly event?: EventRecord }
  | { readonly kind: "refused"; readonly reason: "stale" | "taken" | "missing" };
