import type { Command } from "commander";
import type { Invocation } from "./cli.ts";
import type { ExitCode } from "./exit-code.ts";

/** A command that works on this host, besides or instead of the hub. */
export interface LocalCommand {
  /** "images build": parents that exist already are reused. */
  readonly path: string;
  readonly summary: string;
  /** Arguments and flags. */
  readonly declare: (command: Command) => void;
  readonly run: (call: Invocation<never>) => Promise<ExitCode | undefined> | Promise<void>;
}
