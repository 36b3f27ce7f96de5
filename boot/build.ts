/**
 * Builds what machines boot, from Debian packages that are unpacked and never installed:
 *
 *     OUT/vmlinuz        Debian's kernel
 *     OUT/ramdisk.img    the boot ramdisk with `drp machine install`
 *     OUT/loaders/       iPXE for BIOS and UEFI, shim and GRUB for Secure Boot, and what starts a UEFI machine's own disk
 *     OUT/disk-loader/   GRUB for the machine's own disk (also inside the ramdisk)
 *
 * By itself: `node boot/build.ts [DRP [OUT [CACHE]]]`.
 */
import { copyFile, mkdir, stat } from "node:fs/promises";
import path from "node:path";
import { formatBytes } from "../src/core/bytes.ts";
import { DrpError, describeErrorChain } from "../src/core/errors.ts";
import { arm64LoaderPackages, bootPackages } from "./boot-packages.ts";
import { buildDiskLoader } from "./disk-loader.ts";
import { findKernel } from "./kernel-modules.ts";
import { copyArm64Loaders, copyNetworkLoaders } from "./loaders.ts";
import { buildLocalBoot } from "./local-boot.ts";
import { planRamdisk, writeRamdisk } from "./ramdisk.ts";

export interface BuildBootFilesOptions {
  /** The single executable. */
  readonly drp: string;
  readonly out: string;
  /** Where unpacked packages stay between builds. */
  readonly cache: string;
  /** One line a step, for people. */
  readonly log: (line: string) => void;
}

/** Both are held in memory by firmware and in transit by thin links. */
const MAX_KERNEL_AND_RAMDISK_BYTES = 64 * 1024 * 1024;

/** @throws {DrpError} "tool.missing" naming a package that cannot be had */
export async function buildBootFiles(options: BuildBootFilesOptions): Promise<void> {
  const { out, log } = options;
  await mkdir(out, { recursive: true });
  log("Debian packages for the boot files");
  const packages = await bootPackages(options.cache);
  const kernel = await findKernel(packages.kernel.root);
  log("loaders for network and disk");
  await copyNetworkLoaders(packages, path.join(out, "loaders"));
  await addArm64Loaders(options);
  await buildLocalBoot(packages, path.join(out, "loaders", "local-boot.efi"));
  const loaderDir = path.join(out, "disk-loader");
  await buildDiskLoader(packages, loaderDir);
  log(`kernel ${kernel.release}, ramdisk`);
  await copyFile(kernel.image, path.join(out, "vmlinuz"));
  const tree = await planRamdisk({
    kernel,
    loaderDir,
    drp: options.drp,
    packages,
    build: { builtAt: builtAt(), kernel: kernel.release, packages: packages.versions },
  });
  await writeRamdisk(tree, path.join(out, "ramdisk.img"));
  log(await checkSize(out));
}

/** A mirror may hold one architecture alone: then arm64 machines are not served, and all others are. */
async function addArm64Loaders({ cache, out, log }: BuildBootFilesOptions): Promise<void> {
  try {
    await copyArm64Loaders(await arm64LoaderPackages(cache), path.join(out, "loaders"));
  } catch (error) {
    if (!(error instanceof DrpError)) throw error;
    log(`no arm64 loaders: ${describeErrorChain(error)}`);
  }
}

/** SOURCE_DATE_EPOCH (reproducible-builds.org) where it is set. */
function builtAt(): string {
  const fixedSeconds = Number(process.env.SOURCE_DATE_EPOCH);
  return new Date(fixedSeconds > 0 ? fixedSeconds * 1000 : Date.now()).toISOString();
}

async function checkSize(out: string): Promise<string> {
  const kernel = (await stat(path.join(out, "vmlinuz"))).size;
  const ramdisk = (await stat(path.join(out, "ramdisk.img"))).size;
  const sizes = `kernel ${formatBytes(kernel)}, ramdisk ${formatBytes(ramdisk)}`;
  if (kernel + ramdisk > MAX_KERNEL_AND_RAMDISK_BYTES) {
    throw new DrpError(
      "internal",
      `${sizes}: more than ${formatBytes(MAX_KERNEL_AND_RAMDISK_BYTES)} together`,
    );
  }
  return sizes;
}

if (import.meta.main) {
  const [drp = "dist/drp", out = "dist/boot", cache = ".cache/debian"] = process.argv.slice(2);
  try {
    await buildBootFiles({ drp, out, cache, log: line => console.error(`boot: ${line}`) });
  } catch (error) {
    console.error(`boot: ${describeErrorChain(error)}`);
    if (error instanceof DrpError && error.advice !== undefined) console.error(`  → ${error.advice}`);
    process.exitCode = 1;
  }
}
