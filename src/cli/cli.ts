/** What every command gets, and how a command is bound to its action. */
import type { Readable } from "node:stream";
import type { Command, OptionValues } from "commander";
import type { Clock } from "../core/time.ts";
import type { ApiClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Output, OutputDevice } from "./output.ts";

/** One bar on stderr; silent where stderr is not a terminal, except for a line at each new label. */
export interface ProgressBar {
  update(progress: BarProgress): void;
  stop(): void;
}

export interface BarProgress {
  readonly label: string;
  readonly doneBytes: number;
  /** 0 while nothing can be measured: only the label is shown. */
  readonly totalBytes: number;
}

/** A view that is drawn anew in its place on the terminal. */
export interface Screen {
  /** @param text lines, each ended by a newline; the last ones find no room where the terminal is low */
  show(text: string): void;
  /** The last view, whole, however low the terminal is: it stays. */
  end(text: string): void;
}

export interface CliContext {
  readonly out: Output;
  readonly now: Clock;
  /** Connects at the first call; commands that need no hub never call it. */
  readonly api: () => ApiClient;
  readonly startProgress: () => ProgressBar;
  /** Undefined where stdout is not a terminal. */
  readonly openScreen: () => Screen | undefined;
  /** @throws {DrpError} `input.unreadable` */
  readonly openFile: (file: string) => Readable;
  /** @throws {DrpError} `input.unreadable` */
  readonly readTextFile: (file: string) => string;
  /** Aborted when a person presses Ctrl-C. */
  readonly interrupted: AbortSignal;
  /** Resolves after `durationMs`, or as soon as `signal` aborts. */
  readonly sleep: (durationMs: number, signal?: AbortSignal) => Promise<void>;
}

/** Opens a context for the global flags that were given. */
export type OpenContext = (flags: GlobalFlags) => CliContext;

export interface GlobalFlags {
  readonly output?: OutputDevice["format"];
  readonly color: boolean;
}

export interface Invocation<Options> {
  readonly context: CliContext;
  /** In the order of the command's arguments; `required` has already refused missing ones. */
  readonly args: readonly string[];
  readonly options: Options;
}

export class Cli {
  readonly root: Command;
  exitCode: ExitCode = EXIT.done;
  private readonly open: OpenContext;

  constructor(root: Command, open: OpenContext) {
    this.root = root;
    this.open = open;
  }

  /** @param run answers the exit code, or nothing for "done" */
  on<Options = OptionValues>(
    command: Command,
    run: (call: Invocation<Options>) => Promise<ExitCode | undefined> | Promise<void>,
  ): Command {
    return command.action(async () => {
      const context = this.open(command.optsWithGlobals<GlobalFlags>());
      const options = command.opts() as Options;
      this.exitCode =
        (await run({ context, args: command.processedArgs.filter(isText), options })) ?? EXIT.done;
    });
  }
}

/** The first argument: commander has refused the call already where it is missing. */
export function firstArgument(call: Invocation<unknown>): string {
  const [first] = call.args;
  if (first === undefined) throw new RangeError("the command declares no argument");
  return first;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
