/** The user land of everything that boots: one static program under many names. */
import { execFileSync } from "node:child_process";
import path from "node:path";
import type { FileTree } from "./file-tree.ts";

/** @param packageRoot an unpacked busybox-static package; runs its program to learn the names */
export function addBusybox(tree: FileTree, packageRoot: string): void {
  const program = path.join(packageRoot, "bin/busybox");
  tree.addFile("/bin/busybox", program, 0o755);
  const names = execFileSync(program, ["--list-full"], { encoding: "utf8" }).split("\n");
  for (const name of names.filter(name => name !== "" && name !== "bin/busybox")) {
    tree.addSymlink(`/${name}`, "/bin/busybox");
  }
}
