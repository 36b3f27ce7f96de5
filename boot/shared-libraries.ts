/** Puts a program into a tree together with every shared library that it asks for, taken from unpacked packages. */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import { isElf, readNeededLibraries } from "./elf.ts";
import type { FileTree } from "./file-tree.ts";

/** Where Debian's packages keep libraries; before and after the merge of / and /usr. */
const LIBRARY_DIRS = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64"];
/** Where the x86-64 ABI wants the loader, which finds the rest in TARGET_DIR. */
const LOADER = "/lib64/ld-linux-x86-64.so.2";
const TARGET_DIR = "/lib/x86_64-linux-gnu";

/** Folders on this host in which libraries of these packages lie. */
export function libraryDirs(packageRoots: readonly string[]): string[] {
  return packageRoots
    .flatMap(root => LIBRARY_DIRS.map(dir => path.join(root, dir)))
    .filter(dir => existsSync(dir));
}

/**
 * @param source the program's file on this host; a script gets no libraries
 * @param dirs where libraries are looked for, in order
 * @throws {Error} naming a library that is in none of them
 */
export function addProgram(tree: FileTree, target: string, source: string, dirs: readonly string[]): void {
  tree.addFile(target, source, 0o755);
  const program = readFileSync(source);
  if (!isElf(program)) return;
  tree.addFile(LOADER, findLibrary(path.basename(LOADER), dirs), 0o755);
  const wanted = readNeededLibraries(program);
  for (let library = wanted.shift(); library !== undefined; library = wanted.shift()) {
    const placed = `${TARGET_DIR}/${library}`;
    if (library === path.basename(LOADER) || tree.has(placed)) continue;
    const file = findLibrary(library, dirs);
    tree.addFile(placed, file, 0o755);
    wanted.push(...readNeededLibraries(readFileSync(file)));
  }
}

function findLibrary(name: string, dirs: readonly string[]): string {
  const found = dirs.map(dir => path.join(dir, name)).find(file => existsSync(file));
  if (found === undefined) throw new Error(`no package holds the library ${name}`);
  return realpathSync(found);
}
