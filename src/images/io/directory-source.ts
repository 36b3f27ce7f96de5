/**
 * Reads a directory of this host as the tar that GNU tar makes of it: it alone tells extended attributes and access control
 * lists, for which Node has no call, and it never follows a link out of the directory.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { DrpError } from "../../core/errors.ts";

/** Of its complaints, the last words count. */
const MAX_MESSAGE_BYTES = 16 * 1024;

/** @throws {DrpError} tool.missing; input.unreadable with tar's own words */
export async function* readDirectoryAsTar(path: string): AsyncGenerator<Buffer, void, void> {
  const args = ["--create", "--format=posix", "--sort=name", "--numeric-owner", "--sparse"];
  // Access control lists come as the kernel's own attributes: --acls would write the names that this host has for numbers.
  const attributes = ["--xattrs", "--xattrs-include=*"];
  const tar = spawn("tar", [...args, ...attributes, "--directory", path, "."], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, LC_ALL: "C" },
  });
  let message = "";
  tar.stderr.setEncoding("utf8").on("data", (text: string) => {
    message = (message + text).slice(-MAX_MESSAGE_BYTES);
  });
  const ended = once(tar, "close").catch((cause: NodeJS.ErrnoException) => {
    throw new DrpError("tool.missing", "tar cannot be started", { advice: "Install GNU tar.", cause });
  });
  ended.catch(() => {});
  try {
    yield* tar.stdout;
    const [code] = await ended;
    if (code === 0) return;
    const lines = message.trim().split("\n");
    const words = lines.findLast(line => !line.includes("Exiting with failure status")) ?? "no message";
    throw new DrpError("input.unreadable", `tar cannot read all of ${path}: ${words}`, {
      advice: "Build as a user who may read every file, from a directory that nobody changes meanwhile.",
    });
  } finally {
    tar.kill();
  }
}
