/** Runs a program of the system to its end, without a shell, and tells its failure in its own words. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { DrpError } from "../../core/errors.ts";

const execute = promisify(execFile);

/** @throws {DrpError} tool.missing; internal with the last words that the program said */
export async function runTool(name: string, args: readonly string[]): Promise<void> {
  try {
    await execute(name, args);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") {
      throw new DrpError("tool.missing", `the program ${name} is not there`, {
        advice: "Build the boot files again, or install the package that holds it.",
        facts: { tool: name },
      });
    }
    const stderr = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : "";
    throw new DrpError("internal", `${name} failed: ${stderr.split("\n").at(-1) || "no message"}`, { cause });
  }
}
