/** What a person sees on the machine's screen or serial console. */
import { DrpError, describeErrorChain } from "../../../core/errors.ts";

/** One line. */
export type Say = (line: string) => void;

export const sayOnConsole: Say = line => {
  process.stdout.write(`drp: ${line}\n`);
};

/** "what happened: why. What to do." */
export function explainError(error: unknown): string {
  const chain = describeErrorChain(error);
  return error instanceof DrpError && error.advice !== undefined ? `${chain}. ${error.advice}` : chain;
}
