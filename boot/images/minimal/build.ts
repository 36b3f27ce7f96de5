/**
 * The smallest golden image: Debian's kernel, busybox, the machine agent. It proves the whole way from power-on to healthy,
 * and shows what any image needs: /boot/vmlinuz, /boot/initrd.img, `drp machine run`, and health checks.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Manifest } from "../../../src/images/manifest.ts";
import { type BootPackages, bootPackages } from "../../boot-packages.ts";
import { addBusybox } from "../../busybox.ts";
import { COMMON_NETWORK_DRIVERS, DISK_DRIVERS, ENTROPY_DRIVERS, FILE_SYSTEMS } from "../../drivers.ts";
import { FileTree } from "../../file-tree.ts";
import { addKernelModules, findKernel, type Kernel } from "../../kernel-modules.ts";
import { writeRamdisk } from "../../ramdisk.ts";
import { addProgram } from "../../shared-libraries.ts";

export interface MinimalRootfsOptions {
  /** The single executable. */
  readonly drp: string;
  /** Where unpacked Debian packages stay between builds. */
  readonly cache: string;
  /** The folder to make; it must not be there yet. */
  readonly out: string;
  /** Shown at boot; the manifest's version. */
  readonly version: string;
  /** False makes an image whose health check fails: what a rollout has to stop. */
  readonly healthy: boolean;
}

/** What the image's manifest says beside its bytes. */
export const MINIMAL_IMAGE = {
  name: "minimal",
  kernelArguments: ["quiet", "console=tty0", "console=ttyS0,115200"],
  healthChecks: [{ name: "app", exec: ["/usr/lib/drp/health/app"], timeoutSeconds: 10 }],
} satisfies Partial<Manifest>;

/** Every file's time, in seconds since 1970: the same inputs give the same image. */
const MODIFIED_AT_SECONDS = 0;

const HERE = import.meta.dirname;
const COLDPLUG = path.join(HERE, "../../init/coldplug.sh");
const UDHCPC = path.join(HERE, "../../init/udhcpc.sh");

/** @throws {DrpError} "tool.missing" naming a Debian package that cannot be had */
export async function buildMinimalRootfs(options: MinimalRootfsOptions): Promise<void> {
  const packages = await bootPackages(options.cache);
  const kernel = await findKernel(packages.kernel.root);
  const workDir = await mkdtemp(path.join(tmpdir(), "drp-minimal-"));
  try {
    const initrd = path.join(workDir, "initrd.img");
    await writeRamdisk(await planInitrd(packages, kernel), initrd);
    const rootfs = await planRootfs(options, packages, kernel, initrd);
    await rootfs.writeTo(options.out, MODIFIED_AT_SECONDS);
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

async function planInitrd(packages: BootPackages, kernel: Kernel): Promise<FileTree> {
  const tree = new FileTree();
  for (const dir of ["/proc", "/sys", "/dev", "/slot"]) tree.addDirectory(dir);
  tree.addCharacterDevice("/dev/console", 0o600, 5, 1);
  addBusybox(tree, packages.busybox.root);
  await addKernelModules(tree, kernel, [...DISK_DRIVERS, ...FILE_SYSTEMS]);
  tree.addFile("/init", path.join(HERE, "initrd.sh"), 0o755);
  tree.addFile("/usr/lib/drp/coldplug", COLDPLUG, 0o755);
  return tree;
}

async function planRootfs(
  options: MinimalRootfsOptions,
  packages: BootPackages,
  kernel: Kernel,
  initrd: string,
): Promise<FileTree> {
  const tree = new FileTree();
  const mountPoints = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var", "/drp-data"];
  for (const dir of [...mountPoints, "/root"]) tree.addDirectory(dir);
  tree.addFile("/boot/vmlinuz", kernel.image);
  tree.addFile("/boot/initrd.img", initrd);
  addBusybox(tree, packages.busybox.root);
  addProgram(tree, "/usr/bin/drp", options.drp, packages.libraryDirs);
  await addKernelModules(tree, kernel, [...COMMON_NETWORK_DRIVERS, ...FILE_SYSTEMS, ...ENTROPY_DRIVERS]);
  tree.addFile("/usr/lib/drp/coldplug", COLDPLUG, 0o755);
  tree.addFile("/usr/lib/drp/udhcpc", UDHCPC, 0o755);
  tree.addText("/usr/lib/drp/health/app", `#!/bin/sh\nexit ${options.healthy ? 0 : 1}\n`, 0o755);
  tree.addFile("/etc/inittab", path.join(HERE, "files/inittab"));
  tree.addFile("/etc/init.d/start", path.join(HERE, "files/start.sh"), 0o755);
  tree.addText("/etc/drp-release", `${MINIMAL_IMAGE.name} ${options.version}\n`);
  tree.addText("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
  tree.addText("/etc/group", "root:x:0:\n");
  tree.addText("/etc/hosts", "127.0.0.1 localhost\n");
  tree.addSymlink("/etc/resolv.conf", "/run/resolv.conf");
  return tree;
}
