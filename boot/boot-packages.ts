/** The Debian packages that boot files and golden images are made of, by what they are for. */
import { type DebianPackage, debianDependencies, fetchDebianPackages } from "./debian-packages.ts";
import { libraryDirs } from "./shared-libraries.ts";

export interface BootPackages {
  readonly kernel: DebianPackage;
  readonly busybox: DebianPackage;
  readonly ipxe: DebianPackage;
  /** What Secure Boot accepts: Microsoft has signed the shim, Debian the GRUB. */
  readonly shim: DebianPackage;
  readonly signedGrub: DebianPackage;
  readonly grubCommon: DebianPackage;
  readonly grubPc: DebianPackage;
  readonly grubEfi: DebianPackage;
  readonly e2fsprogs: DebianPackage;
  readonly utilLinux: DebianPackage;
  /** Folders with the shared libraries of the programs above and of the single executable. */
  readonly libraryDirs: readonly string[];
  /** Name → version of each. */
  readonly versions: Readonly<Record<string, string>>;
}

const KERNEL_METAPACKAGE = "linux-image-amd64";
const LOST = "without it no machine can boot over the network, and no golden image can be made";
/** What the official Node.js binary asks for. */
const NODE_LIBRARIES = ["libc6", "libstdc++6", "libgcc-s1"];

/** @throws {DrpError} "tool.missing" naming the package */
export async function bootPackages(cacheDir: string): Promise<BootPackages> {
  const [kernelName = KERNEL_METAPACKAGE] = await debianDependencies(
    KERNEL_METAPACKAGE,
    /^linux-image-\d/,
    LOST,
  );
  // Asked for by dependency: their names change between Debian releases (libext2fs2, libext2fs2t64).
  const libraryNames = new Set([
    ...NODE_LIBRARIES,
    ...(await debianDependencies("e2fsprogs", /^lib/, LOST)),
    ...(await debianDependencies("grub-common", /^lib/, LOST)),
  ]);
  const programNames = [
    kernelName,
    "busybox-static",
    "ipxe",
    "shim-signed",
    "grub-efi-amd64-signed",
    "grub-common",
    "grub-pc-bin",
    "grub-efi-amd64-bin",
    "e2fsprogs",
    "util-linux",
  ];
  const packages = await fetchDebianPackages([...programNames, ...libraryNames], cacheDir, LOST);
  const named = (name: string) => packageNamed(packages, name);
  return {
    kernel: named(kernelName),
    busybox: named("busybox-static"),
    ipxe: named("ipxe"),
    shim: named("shim-signed"),
    signedGrub: named("grub-efi-amd64-signed"),
    grubCommon: named("grub-common"),
    grubPc: named("grub-pc-bin"),
    grubEfi: named("grub-efi-amd64-bin"),
    e2fsprogs: named("e2fsprogs"),
    utilLinux: named("util-linux"),
    libraryDirs: libraryDirs([...libraryNames].map(name => named(name).root)),
    versions: Object.fromEntries(packages.map(({ name, version }) => [name, version])),
  };
}

/** Of another architecture than the ramdisk's. */
export interface SignedLoaderPackages {
  readonly shim: DebianPackage;
  readonly signedGrub: DebianPackage;
}

/** Debian builds no iPXE for arm64. @throws {DrpError} "tool.missing" naming the package */
export async function arm64LoaderPackages(cacheDir: string): Promise<SignedLoaderPackages> {
  const names = ["shim-signed", "grub-efi-arm64-signed"];
  const lost = "without it no arm64 machine can boot over the network";
  const packages = await fetchDebianPackages(names, cacheDir, lost, "arm64");
  return {
    shim: packageNamed(packages, "shim-signed"),
    signedGrub: packageNamed(packages, "grub-efi-arm64-signed"),
  };
}

function packageNamed(packages: readonly DebianPackage[], name: string): DebianPackage {
  const found = packages.find(candidate => candidate.name === name);
  if (found === undefined) throw new Error(`package ${name} was not fetched`);
  return found;
}
