import type { ErrorCode } from "../core/errors.ts";

/** Why something is not done: what is wrong with what, and what to do next. */
export interface Refusal {
  readonly kind: "refused";
  readonly code: ErrorCode;
  readonly reason: string;
  readonly advice: string;
}
