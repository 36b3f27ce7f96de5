/** What every role that runs as a process of its own needs: when to stop, how to start its children, how to say why not. */
import { isSea } from "node:sea";
import { DrpError, describeErrorChain } from "../../core/errors.ts";

/** Resolves with the name of the first signal that asks this process to stop. */
export function nextSignal(): Promise<string> {
  return new Promise(resolve => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => resolve(signal));
  });
}

/** This very program in another role: the single executable, or node with our entry. */
export function ownCommand(role: string): [string, ...string[]] {
  const entry = process.argv[1];
  return isSea() || entry === undefined ? [process.execPath, role] : [process.execPath, entry, role];
}

/** @param command "drp serve" */
export function formatFailure(command: string, error: unknown): string {
  if (!(error instanceof DrpError))
    return `${command} failed: ${error instanceof Error ? error.stack : error}\n`;
  const advice = error.advice === undefined ? "" : `  → ${error.advice}\n`;
  return `drp: ${describeErrorChain(error)}\n${advice}`;
}
