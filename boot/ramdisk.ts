/** The ramdisk that machines boot over the network: busybox, the machine agent, drivers, and what lays out a disk. */
import { createWriteStream } from "node:fs";
import { rename } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import { encodeCpio } from "../src/images/cpio.ts";
import type { BootPackages } from "./boot-packages.ts";
import { addBusybox } from "./busybox.ts";
import { DISK_LOADER_FILES } from "./disk-loader.ts";
import {
  COMMON_NETWORK_DRIVERS,
  DISK_DRIVERS,
  ENTROPY_DRIVERS,
  FILE_SYSTEMS,
  MORE_NETWORK_DRIVERS,
  USB_DISK_DRIVERS,
} from "./drivers.ts";
import { FileTree } from "./file-tree.ts";
import { addKernelModules, type Kernel } from "./kernel-modules.ts";
import { addProgram } from "./shared-libraries.ts";

/** Of 6 seconds' build time; 19 takes ten times as long for a tenth less. Decoding costs the same at any level. */
const ZSTD_LEVEL = 12;

/** Goes into /usr/lib/drp/build.json. */
export interface RamdiskBuild {
  /** ISO 8601; the machine's clock is set to it at least, before TLS looks at certificates. */
  readonly builtAt: string;
  readonly kernel: string;
  /** Debian package → version. */
  readonly packages: Readonly<Record<string, string>>;
}

export interface RamdiskParts {
  readonly kernel: Kernel;
  /** Holds DISK_LOADER_FILES. */
  readonly loaderDir: string;
  /** The single executable on this host. */
  readonly drp: string;
  readonly packages: BootPackages;
  readonly build: RamdiskBuild;
}

export async function planRamdisk(parts: RamdiskParts): Promise<FileTree> {
  const tree = new FileTree();
  for (const dir of ["/proc", "/sys", "/dev", "/run", "/root", "/mnt"]) tree.addDirectory(dir);
  tree.addDirectory("/tmp", 0o1777);
  tree.addCharacterDevice("/dev/console", 0o600, 5, 1);
  tree.addCharacterDevice("/dev/null", 0o666, 1, 3);
  addBusybox(tree, parts.packages.busybox.root);
  addProgram(tree, "/usr/bin/drp", parts.drp, parts.packages.libraryDirs);
  // The name decides: as mkfs.ext4 it makes ext4.
  addProgram(
    tree,
    "/sbin/mkfs.ext4",
    path.join(parts.packages.e2fsprogs.root, "sbin/mke2fs"),
    parts.packages.libraryDirs,
  );
  // Busybox has one too, which discards without the promise of zeros; /usr/sbin is looked at first.
  addProgram(
    tree,
    "/usr/sbin/blkdiscard",
    path.join(parts.packages.utilLinux.root, "sbin/blkdiscard"),
    parts.packages.libraryDirs,
  );
  await addKernelModules(tree, parts.kernel, [
    ...DISK_DRIVERS,
    ...USB_DISK_DRIVERS,
    ...FILE_SYSTEMS,
    ...COMMON_NETWORK_DRIVERS,
    ...MORE_NETWORK_DRIVERS,
    ...ENTROPY_DRIVERS,
  ]);
  const scripts = path.join(import.meta.dirname, "init");
  tree.addFile("/init", path.join(scripts, "ramdisk.sh"), 0o755);
  tree.addFile("/usr/lib/drp/coldplug", path.join(scripts, "coldplug.sh"), 0o755);
  tree.addFile("/usr/lib/drp/udhcpc", path.join(scripts, "udhcpc.sh"), 0o755);
  tree.addSymlink("/etc/resolv.conf", "/run/resolv.conf");
  for (const name of DISK_LOADER_FILES) {
    tree.addFile(`/usr/lib/drp/loader/${name}`, path.join(parts.loaderDir, name));
  }
  tree.addText("/usr/lib/drp/build.json", `${JSON.stringify(parts.build, null, 2)}\n`);
  return tree;
}

/** Writes a tree as the compressed archive that the kernel unpacks; equal trees give equal bytes. */
export async function writeRamdisk(tree: FileTree, file: string): Promise<void> {
  const unfinished = `${file}.part`;
  await pipeline(
    Readable.from(encodeCpio(tree.cpioEntries())),
    createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } }),
    createWriteStream(unfinished),
  );
  await rename(unfinished, file);
}
