/**
 * Takes the modules that are wanted, and what they depend on, out of a kernel package, and writes the tables that busybox
 * modprobe reads. The package has no such tables: Debian makes them at installation by depmod, which knows no selection.
 */
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { readModuleNotes } from "./elf.ts";
import type { FileTree } from "./file-tree.ts";

export interface Kernel {
  /** `uname -r`: "6.1.0-56-amd64" */
  readonly release: string;
  /** The bootable image's file on this host. */
  readonly image: string;
  /** The folder on this host that is `/lib/modules/RELEASE` on the machine. */
  readonly modulesDir: string;
}

interface Module {
  /** Relative to modulesDir: "kernel/fs/ext4/ext4.ko" */
  readonly file: string;
  /** Loaded before it: hard dependencies, then those that it only asks for (softdep). */
  readonly dependencies: readonly string[];
  /** Patterns of the devices it drives. */
  readonly aliases: readonly string[];
}

/** @param packageRoot an unpacked linux-image package */
export async function findKernel(packageRoot: string): Promise<Kernel> {
  const [release = ""] = await readdir(path.join(packageRoot, "lib/modules"));
  return {
    release,
    image: path.join(packageRoot, "boot", `vmlinuz-${release}`),
    modulesDir: path.join(packageRoot, "lib/modules", release),
  };
}

/**
 * @param names as in `modprobe NAME`; dash and underscore are one
 * @throws {Error} for a name that the kernel has no module of
 */
export async function addKernelModules(
  tree: FileTree,
  kernel: Kernel,
  names: readonly string[],
): Promise<void> {
  const modules = await selectModules(kernel, names);
  const targetDir = `/lib/modules/${kernel.release}`;
  for (const { file } of modules.values()) {
    tree.addFile(`${targetDir}/${file}`, path.join(kernel.modulesDir, file));
  }
  tree.addText(`${targetDir}/modules.dep`, dependencyTable(modules));
  tree.addText(`${targetDir}/modules.alias`, aliasTable(modules));
}

async function selectModules(kernel: Kernel, names: readonly string[]): Promise<Map<string, Module>> {
  const files = await listModuleFiles(kernel.modulesDir);
  const builtIn = await listBuiltInModules(kernel.modulesDir);
  const selected = new Map<string, Module>();
  const wanted = names.map(canonicalName);
  for (let name = wanted.shift(); name !== undefined; name = wanted.shift()) {
    if (selected.has(name) || builtIn.has(name)) continue;
    const file = files.get(name);
    if (file === undefined) throw new Error(`kernel ${kernel.release} has no module ${name}`);
    const module = readModule(kernel, file, known => files.has(known));
    selected.set(name, module);
    wanted.push(...module.dependencies);
  }
  return new Map([...selected].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function readModule(kernel: Kernel, file: string, exists: (name: string) => boolean): Module {
  const notes = readModuleNotes(readFileSync(path.join(kernel.modulesDir, file)));
  const valuesOf = (key: string) => notes.filter(note => note[0] === key).map(note => note[1]);
  const hard = valuesOf("depends").flatMap(value => value.split(",").filter(name => name !== ""));
  // "softdep=pre: crc32c post: x": asked for by module name or by alias; only names can be followed.
  const soft = valuesOf("softdep").flatMap(
    value => /pre: (.*?)(?: post:|$)/.exec(value)?.[1]?.split(" ") ?? [],
  );
  return {
    file,
    dependencies: [
      ...hard.map(canonicalName),
      ...soft.map(canonicalName).filter(name => exists(name) && !hard.includes(name)),
    ],
    aliases: valuesOf("alias"),
  };
}

/** One line a module: itself, then everything below it, so that the last named is loaded first. */
function dependencyTable(modules: ReadonlyMap<string, Module>): string {
  const lines = Array.from(modules, ([name, module]) => {
    const below = [...new Set(loadOrder(name, modules))].filter(other => other !== name).reverse();
    return `${module.file}:${below.map(other => ` ${modules.get(other)?.file}`).join("")}\n`;
  });
  return lines.join("");
}

/** Depth first: each module after those it depends on. */
function loadOrder(name: string, modules: ReadonlyMap<string, Module>): string[] {
  const module = modules.get(name);
  if (module === undefined) return [];
  return [...module.dependencies.flatMap(dependency => loadOrder(dependency, modules)), name];
}

function aliasTable(modules: ReadonlyMap<string, Module>): string {
  const lines = Array.from(modules, ([name, module]) =>
    module.aliases.map(alias => `alias ${alias} ${name}\n`),
  );
  return lines.flat().join("");
}

async function listModuleFiles(modulesDir: string): Promise<Map<string, string>> {
  const files = await readdir(path.join(modulesDir, "kernel"), { recursive: true });
  return new Map(files.filter(isModule).map(file => [moduleName(file), path.join("kernel", file)]));
}

async function listBuiltInModules(modulesDir: string): Promise<Set<string>> {
  const lines = readFileSync(path.join(modulesDir, "modules.builtin"), "utf8").split("\n");
  return new Set(lines.filter(isModule).map(moduleName));
}

function isModule(file: string): boolean {
  return file.endsWith(".ko");
}

function moduleName(file: string): string {
  return canonicalName(path.basename(file, ".ko"));
}

function canonicalName(name: string): string {
  return name.replaceAll("-", "_");
}
