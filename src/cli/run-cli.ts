/** The CLI's entry: parses, runs one command, and turns every ending into an exit code and readable words. */
import { CommanderError } from "commander";
import { type ExitCode, exitCodeOf } from "./exit-code.ts";
import { describeError } from "./format/describe-error.ts";
import { openContext } from "./io/open-context.ts";
import { buildProgram } from "./program.ts";

/**
 * @param argv without node and script: `process.argv.slice(2)`
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage, 3 timed out
 */
export async function runCli(argv: readonly string[]): Promise<ExitCode> {
  let close = () => {};
  const cli = buildProgram(flags => {
    const opened = openContext(flags);
    close = opened.close;
    return opened.context;
  });
  // A reader that has seen enough (`drp machines list | head -1`) is no failure.
  process.stdout.on("error", error => {
    if ("code" in error && error.code === "EPIPE") process.exit(0);
    throw error;
  });
  try {
    await cli.root.parseAsync(argv, { from: "user" });
    return cli.exitCode;
  } catch (error) {
    // Commander has already written its own usage errors.
    if (!(error instanceof CommanderError)) process.stderr.write(describeError(error));
    return exitCodeOf(error);
  } finally {
    close();
  }
}
