/** What the shell learns: which exit code an ending has. */
import { CommanderError } from "commander";
import { DrpError } from "../core/errors.ts";

export const EXIT = { done: 0, failed: 1, usage: 2, timedOut: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (!(error instanceof DrpError)) return EXIT.failed;
  if (error.code === "timed-out") return EXIT.timedOut;
  return error.code === "request.invalid" || error.code === "rollout.refused" ? EXIT.usage : EXIT.failed;
}
