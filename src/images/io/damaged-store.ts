/** The error for what is kept and is not any more what it was when it was accepted. */
import { DrpError } from "../../core/errors.ts";

/** @param message what is wrong and where */
export function damagedStore(message: string, cause?: unknown): DrpError {
  return new DrpError("storage.damaged", message, {
    advice:
      "Push the same bundle again: that mends it. Then run `drp images scrub` to see what else has suffered.",
    cause,
  });
}
