/**
 * Fetches Debian packages and unpacks each into a folder of its own; installs nothing and needs no root where apt has
 * its lists. A folder is named after the exact version, so that a second run finds everything and downloads nothing.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { DrpError } from "../src/core/errors.ts";

const run = promisify(execFile);

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** The package's files, laid out as under `/`. */
  readonly root: string;
}

/**
 * @param names packages of the host's own Debian release
 * @param cacheDir made when missing
 * @param lost what cannot be done without these packages, for the error: "no machine can boot over the network"
 * @param architecture another one than the host's: "arm64"; its package lists are kept in cacheDir
 * @returns one for each name, in the same order
 * @throws {DrpError} "tool.missing" naming the package
 */
export async function fetchDebianPackages(
  names: readonly string[],
  cacheDir: string,
  lost: string,
  architecture?: string,
): Promise<DebianPackage[]> {
  await mkdir(cacheDir, { recursive: true });
  try {
    const apt = architecture === undefined ? HOST_APT : await foreignApt(architecture, cacheDir);
    const archives = await archiveNames(names, apt);
    const folderOf = (archive: string) => path.join(cacheDir, path.basename(archive, ".deb"));
    await unpackArchives(
      archives.filter(({ archive }) => !existsSync(folderOf(archive))),
      cacheDir,
      folderOf,
      apt,
    );
    return archives.map(({ name, archive }) => ({
      name,
      version: decodeURIComponent(archive.split("_")[1] ?? ""),
      root: folderOf(archive),
    }));
  } catch (cause) {
    throw packageMissing(blamedPackage(cause, names), lost, cause);
  }
}

/**
 * The packages that a package depends on directly: how a metapackage names the real one, and a program its libraries.
 *
 * @param pattern which of them
 * @param lost as for fetchDebianPackages()
 * @throws {DrpError} "tool.missing" naming the package
 */
export async function debianDependencies(name: string, pattern: RegExp, lost: string): Promise<string[]> {
  try {
    await ensurePackageLists();
    const { stdout } = await run("apt-cache", ["depends", "--important", name]);
    const dependencies = Array.from(stdout.matchAll(/^ +(?:Pre)?Depends: (\S+)$/gm), match => match[1] ?? "");
    return dependencies.filter(dependency => pattern.test(dependency));
  } catch (cause) {
    throw packageMissing(name, lost, cause);
  }
}

/**
 * Packages and the libraries that they need, directly or through other libraries.
 *
 * @param follow which dependencies are taken, and followed in turn
 * @param lost as for fetchDebianPackages()
 * @throws {DrpError} "tool.missing" naming the packages
 */
export async function withDebianLibraries(
  names: readonly string[],
  follow: (dependency: string) => boolean,
  lost: string,
): Promise<string[]> {
  try {
    await ensurePackageLists();
    const { stdout } = await run("apt-cache", ["depends", "--recurse", "--important", ...names], {
      maxBuffer: 64 * 1024 * 1024,
    });
    const tree = parseDependencies(stdout);
    const found = new Set(names);
    // A set that grows while it is walked is walked to its end.
    for (const name of found)
      for (const needed of tree.get(name) ?? []) if (follow(needed)) found.add(needed);
    return [...found];
  } catch (cause) {
    throw packageMissing(names.join(", "), lost, cause);
  }
}

/** "NAME" at the margin, then "  Depends: OTHER"; " |Depends:" is one of several that would do, and not taken. */
function parseDependencies(listing: string): ReadonlyMap<string, readonly string[]> {
  const tree = new Map<string, string[]>();
  let dependencies: string[] = [];
  for (const line of listing.split("\n")) {
    const [, dependency] = /^ +(?:Pre)?Depends: (\S+)$/.exec(line) ?? [];
    if (dependency !== undefined) dependencies.push(dependency);
    else if (/^\S/.test(line)) {
      dependencies = [];
      tree.set(line, dependencies);
    }
  }
  return tree;
}

interface Archive {
  readonly name: string;
  /** "grub-common_2.06-13+deb12u2_amd64.deb" */
  readonly archive: string;
}

/** Which package lists apt reads. */
interface Apt {
  readonly options: readonly string[];
  readonly listsDir: string;
}

const HOST_APT: Apt = { options: [], listsDir: "/var/lib/apt/lists" };

/**
 * The host's sources for another architecture, with lists and state in a folder of ours: `dpkg --add-architecture` would
 * change the host.
 */
async function foreignApt(architecture: string, cacheDir: string): Promise<Apt> {
  const state = path.resolve(cacheDir, `apt-${architecture}`);
  const listsDir = path.join(state, "lists");
  await mkdir(path.join(listsDir, "partial"), { recursive: true });
  const settings = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    `Dir::State=${state}`,
    "Dir::State::status=/dev/null",
    `Dir::Cache=${state}`,
    "Acquire::Languages=none",
    // As apt's own user nothing could be written there.
    "APT::Sandbox::User=root",
  ];
  return { options: settings.flatMap(setting => ["-o", setting]), listsDir };
}

/** The archive of each package's candidate version; nothing is downloaded. */
async function archiveNames(names: readonly string[], apt: Apt): Promise<Archive[]> {
  await ensurePackageLists(apt);
  const { stdout } = await run("apt-get", [...apt.options, "download", "--print-uris", ...names]);
  const archives = Array.from(stdout.matchAll(/^'\S+' (\S+\.deb) /gm), match => match[1] ?? "");
  return names.map(name => {
    const archive = archives.find(candidate => candidate.startsWith(`${name}_`));
    if (archive === undefined) throw new Error(`apt-get names no archive for package ${name}`);
    return { name, archive };
  });
}

async function unpackArchives(
  archives: readonly Archive[],
  cacheDir: string,
  folderOf: (archive: string) => string,
  apt: Apt,
): Promise<void> {
  if (archives.length === 0) return;
  const workDir = await mkdtemp(path.join(cacheDir, ".fetch-"));
  try {
    const names = archives.map(({ name }) => name);
    // apt warns when its own unprivileged user cannot write here; as that user nothing could be written.
    const options = [...apt.options, "-q", "-o", "APT::Sandbox::User=root"];
    await run("apt-get", [...options, "download", ...names], { cwd: workDir });
    for (const { archive } of archives) {
      const unfinished = path.join(workDir, "root");
      await run("dpkg-deb", ["-x", path.join(workDir, archive), unfinished]);
      await keepUnlessThere(unfinished, folderOf(archive));
    }
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** The folder gets its name when it is whole: an interrupted run leaves nothing that looks finished. */
async function keepUnlessThere(unfinished: string, folder: string): Promise<void> {
  try {
    await rename(unfinished, folder);
  } catch (error) {
    // Another build has unpacked the same archive meanwhile.
    if (!existsSync(folder)) throw error;
    await rm(unfinished, { recursive: true });
  }
}

function packageMissing(name: string, lost: string, cause: unknown): DrpError {
  return new DrpError("tool.missing", `Debian package ${name} could not be fetched: ${lost}`, {
    advice: `Run "apt-get update" as root, then see what "apt-get download ${name}" says.`,
    facts: { package: name },
    cause,
  });
}

/** apt says "Unable to locate package NAME", "Failed to fetch URL/NAME_…", dpkg-deb names the archive. */
function blamedPackage(cause: unknown, names: readonly string[]): string {
  const said = cause instanceof Error ? cause.message.split("\n").slice(1).join("\n") || cause.message : "";
  return (
    names.find(name => said.includes(`package ${name}`) || said.includes(`/${name}_`)) ?? names.join(", ")
  );
}

/**
 * Looks and updates under a lock, one process after the other: apt refuses an update while another runs, and lists appear one
 * by one. The lock is on the folder itself, for which nobody needs a right to write.
 */
async function ensurePackageLists({ options, listsDir }: Apt = HOST_APT): Promise<void> {
  const updateUnlessThere = 'ls "$0" | grep -q "_Packages\\(\\.\\|$\\)" || exec "$@"';
  const update = ["apt-get", ...options, "-q", "update"];
  // Where nothing is, flock would make a file.
  await mkdir(listsDir, { recursive: true });
  await run("flock", [listsDir, "sh", "-c", updateUnlessThere, listsDir, ...update]);
}
