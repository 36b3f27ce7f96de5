/** An error as people read it on stderr: what happened, then what to do next. Never a stack trace. */
import { DrpError, describeErrorChain } from "../../core/errors.ts";

/** Two lines at most: "drp: what happened" and "  → what to do". */
export function describeError(error: unknown): string {
  const lines = [`drp: ${describeErrorChain(error)}`];
  const advice = error instanceof DrpError ? error.advice : undefined;
  if (advice !== undefined) lines.push(`  → ${advice}`);
  return `${lines.join("\n")}\n`;
}
