/**
 * Where peers and load generators come from: Debian's packages, unpacked beside what the boot files are built of. Nothing is
 * installed and nothing started on the host, and a second run downloads nothing.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { fetchDebianPackages, withDebianLibraries } from "../boot/debian-packages.ts";
import { libraryDirs } from "../boot/shared-libraries.ts";
import { DrpError } from "../src/core/errors.ts";

const CACHE = path.join(import.meta.dirname, "..", ".cache", "debian");
/** Of the packages that a program depends on, those that hold what it loads. */
const HOLDS_LIBRARIES = /^(lib|kea-common$)/;
/** The host's own, as its dynamic loader must be of the same build; then what only sets up systems. */
const LEFT_OUT = /^lib(c6|gcc-s1|stdc\+\+6|crypt1|pam.*|debian-installer4|selinux1)$/;

export interface Programs {
  /** @throws {DrpError} "tool.missing" when no package holds it */
  readonly find: (name: string) => string;
  /** What the programs need to find their libraries. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * @param packages of the host's own Debian release
 * @param lost what cannot be measured without them
 * @throws {DrpError} "tool.missing" naming the package that cannot be had
 */
export async function fetchPrograms(packages: readonly string[], lost: string): Promise<Programs> {
  const follow = (name: string) => HOLDS_LIBRARIES.test(name) && !LEFT_OUT.test(name);
  const names = await withDebianLibraries(packages, follow, lost);
  const roots = (await fetchDebianPackages(names, CACHE, lost)).map(({ root }) => root);
  return {
    find: name => findProgram(name, roots, lost),
    env: { LD_LIBRARY_PATH: libraryDirs(roots).join(":") },
  };
}

function findProgram(name: string, roots: readonly string[], lost: string): string {
  const candidates = roots.flatMap(root =>
    ["usr/sbin", "usr/bin", "sbin", "bin"].map(folder => path.join(root, folder, name)),
  );
  const found = candidates.find(file => existsSync(file));
  if (found !== undefined) return found;
  throw new DrpError("tool.missing", `no fetched package holds the program ${name}: ${lost}`, {
    advice: "Compare the package's files in this Debian release with what bench/ asks for.",
    facts: { program: name },
  });
}
