/** Mistakes in the configuration as one error, so that a person mends them all at once. */
import { DrpError } from "../core/errors.ts";

/** @param mistakes each "drp.yaml:7: key: reason" */
export function configError(mistakes: readonly string[]): DrpError {
  return new DrpError("config.invalid", mistakes.join("\n"), {
    advice:
      "Every key is explained in docs/config.md; `drp config check` reads the configuration without starting.",
    facts: { mistakes: mistakes.length },
  });
}
