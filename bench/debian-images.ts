/**
 * Real golden images for the benchmarks: the host's own Debian release by debootstrap, packed into ext4 as `drp images build`
 * does it. Mirror, suites and keys are the host's apt's. They are made once and kept under `.cache/bench-images`.
 */
import { execFile } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { createWriteStream, existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { fetchDebianPackages } from "../boot/debian-packages.ts";
import { planExt4 } from "../src/images/ext4-writer/plan-ext4.ts";
import { FileTree } from "../src/images/file-tree.ts";
import { ContentSpool } from "../src/images/io/content-spool.ts";
import { readDirectoryAsTar } from "../src/images/io/directory-source.ts";
import { readExt4Plan } from "../src/images/io/read-ext4-plan.ts";
import { layTar } from "../src/images/io/tar-source.ts";
import { rawBytes } from "../src/images/raw-range.ts";

const run = promisify(execFile);
const CACHE = path.join(import.meta.dirname, "..", ".cache");
const IMAGES = path.join(CACHE, "bench-images");
const LOST = "there are no real images to measure with";

export const IMAGE_BYTES = 1024 ** 3;
const HISTORY_VERSIONS = 10;
/** What v2 has beside all security updates. */
const ADDED_PACKAGES = ["curl", "openssh-server"] as const;
/** One for each version of the history after the first; nothing of them starts in a chroot. */
const HISTORY_PACKAGES = [
  "curl",
  "jq",
  "rsync",
  "openssh-server",
  "tmux",
  "strace",
  "nginx-light",
  "git",
  "chrony",
];

export interface DebianImages {
  /** As released (main alone). */
  readonly v1: string;
  /** With security updates and two packages: a step of one release. */
  readonly v2: string;
  /** Ten versions beginning with v1: each has a ninth of the updates and a package more than the one before. */
  readonly history: readonly string[];
}

/** How someone waits for it: minutes the first time. */
export interface MakingImages {
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Raw ext4 of IMAGE_BYTES each, sparse; must not be changed. Needs root, for a chroot in a mount namespace of its own.
 *
 * @throws {DrpError} "tool.missing" without debootstrap
 */
export async function debianImages(making: MakingImages): Promise<DebianImages> {
  const folder = path.join(IMAGES, "debian");
  await makeFolderOnce(folder, unfinished => bootstrapImages(unfinished, making));
  const history = Array.from({ length: HISTORY_VERSIONS - 1 }, (_, step) => historyName(step + 2));
  const v1 = path.join(folder, "v1.img");
  return {
    v1,
    v2: path.join(folder, "v2.img"),
    history: [v1, ...history.map(name => path.join(folder, name))],
  };
}

/** Random bytes, IMAGE_BYTES of them; must not be changed. */
export async function incompressibleImage(): Promise<string> {
  const folder = path.join(IMAGES, "random");
  await makeFolderOnce(folder, async unfinished => {
    await using file = await open(path.join(unfinished, "random.img"), "wx");
    const block = Buffer.alloc(16 * 1024 ** 2);
    for (let done = 0; done < IMAGE_BYTES; done += block.length) await file.write(randomFillSync(block));
    await file.sync();
  });
  return path.join(folder, "random.img");
}

/** The folder gets its name when it is whole; of two runs at once one gives up what it made. */
async function makeFolderOnce(folder: string, fill: (unfinished: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return;
  await mkdir(IMAGES, { recursive: true });
  const work = await mkdtemp(path.join(IMAGES, ".making-"));
  try {
    const unfinished = path.join(work, "whole");
    await mkdir(unfinished);
    await fill(unfinished);
    if (!existsSync(folder)) await rename(unfinished, folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What apt downloads and derives from that. */
const APT_STATE = ["var/lib/apt/lists", "var/cache/apt"] as const;

/** A source of packages as apt knows it. */
interface Suite {
  readonly mirror: string;
  /** "bookworm", "bookworm-security" */
  readonly name: string;
}

async function bootstrapImages(folder: string, { say, signal }: MakingImages): Promise<void> {
  const chroot = path.join(folder, "..", "root");
  const suites = await hostSuites();
  const [released] = suites;
  if (released === undefined) throw new Error(`apt names no suite of Debian: ${LOST}`);

  say(`making images of ${released.name} with debootstrap (once; minutes)`);
  await debootstrap(released, chroot, signal);
  for (const folder of APT_STATE) await emptyFolder(path.join(chroot, folder));
  await packImage(chroot, folder, "v1.img");

  await writeFile(
    path.join(chroot, "etc/apt/sources.list"),
    suites.map(({ mirror, name }) => `deb ${mirror} ${name} main\n`).join(""),
  );
  // Debian's convention for "start nothing while packages are installed".
  const policy = path.join(chroot, "usr/sbin/policy-rc.d");
  await writeFile(policy, "#!/bin/sh\nexit 101\n");
  await chmod(policy, 0o755);
  await inChroot(chroot, "apt-get -q update", signal);

  const upgradable = (
    await inChroot(chroot, "apt-get -s dist-upgrade | sed -n 's/^Inst \\([^ ]*\\).*/\\1/p'", signal)
  )
    .split("\n")
    .filter(Boolean)
    .toSorted();
  say(`${upgradable.length} packages have updates`);
  const second = `${chroot}-v2`;
  await run("cp", ["-a", chroot, second], { signal });
  await inChroot(second, `apt-get -qy dist-upgrade && ${install(ADDED_PACKAGES)}`, signal);
  await packImage(second, folder, "v2.img");
  await rm(second, { recursive: true });

  for (const [step, added] of HISTORY_PACKAGES.entries()) {
    const version = step + 2;
    say(`version ${version} of the history`);
    const share = upgradable.filter((_, index) => index % HISTORY_PACKAGES.length === step);
    const upgrade = share.length === 0 ? "true" : `apt-get -qy install --only-upgrade ${share.join(" ")}`;
    await inChroot(chroot, `${upgrade} && ${install([added])}`, signal);
    await packImage(chroot, folder, historyName(version));
  }
}

function historyName(version: number): string {
  return `history-${String(version).padStart(2, "0")}.img`;
}

function install(packages: readonly string[]): string {
  return `apt-get -qy install --no-install-recommends ${packages.join(" ")}`;
}

/** The release itself first, then its updates. */
async function hostSuites(): Promise<Suite[]> {
  const format = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)";
  const { stdout } = await run("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]);
  const lines = stdout.split("\n").map(line => line.split(" "));
  const suites = lines
    .filter(([, , component, label = ""]) => component === "main" && label.startsWith("Debian"))
    .map(([mirror = "", name = ""]) => ({ mirror, name }));
  return suites.toSorted((a, b) => a.name.length - b.name.length);
}

async function debootstrap(suite: Suite, target: string, signal: AbortSignal): Promise<void> {
  const [tool] = await fetchDebianPackages(["debootstrap"], path.join(CACHE, "debian"), LOST);
  if (tool === undefined) throw new Error("debootstrap was fetched and is not there");
  const program = path.join(tool.root, "usr/sbin/debootstrap");
  await inNamespace([program, "--variant=minbase", suite.name, target, suite.mirror], signal, {
    DEBOOTSTRAP_DIR: path.join(tool.root, "usr/share/debootstrap"),
  });
}

/**
 * apt's lists and archives lie beside the chroot: golden images do not carry them.
 *
 * @returns what it printed
 */
async function inChroot(root: string, script: string, signal: AbortSignal): Promise<string> {
  const aptState = path.join(root, "..", "apt");
  for (const folder of APT_STATE) await mkdir(path.join(aptState, folder), { recursive: true });
  const enter = [
    'mount -t proc proc "$1/proc"',
    ...APT_STATE.map(folder => `mount --bind "$2/${folder}" "$1/${folder}"`),
    'exec chroot "$1" sh -ec "$3"',
  ].join(" && ");
  return await inNamespace(["sh", "-c", enter, "sh", root, aptState, script], signal, {
    DEBIAN_FRONTEND: "noninteractive",
    LC_ALL: "C",
  });
}

/** Mounts and processes of it end with it, however it ends. */
async function inNamespace(
  command: readonly string[],
  signal: AbortSignal,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { stdout } = await run("unshare", ["--mount", "--pid", "--fork", "--kill-child", ...command], {
    signal,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", ...env },
    maxBuffer: 64 * 1024 ** 2,
  });
  return stdout;
}

async function emptyFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true });
  await mkdir(folder);
}

/** As `drp images build --from FOLDER` makes it, without the bundle around it. */
async function packImage(rootfsDir: string, folder: string, name: string): Promise<void> {
  const contents = path.join(folder, `${name}.contents`);
  const tree = new FileTree();
  {
    await using spool = await ContentSpool.create(contents);
    await layTar(tree, readDirectoryAsTar(rootfsDir), spool);
  }
  const identity = `golden:${name}`;
  const plan = planExt4(tree.root, { identity, createdAt: Date.now(), sizeBytes: IMAGE_BYTES });
  await pipeline(rawBytes(readExt4Plan(plan)), createWriteStream(path.join(folder, name)));
  await rm(contents);
}
