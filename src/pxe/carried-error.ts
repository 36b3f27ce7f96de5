/** A DrpError's way from one process to the other. */
import { DrpError, describeErrorChain } from "../core/errors.ts";
import type { CarriedError } from "./boot-process-messages.ts";

export function carryError(error: unknown): CarriedError {
  if (error instanceof DrpError) {
    return { code: error.code, message: error.message, advice: error.advice ?? null };
  }
  return { code: "internal", message: describeErrorChain(error), advice: null };
}

export function unpackError({ code, message, advice }: CarriedError): DrpError {
  return new DrpError(code, message, advice === null ? {} : { advice });
}
