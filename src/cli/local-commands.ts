/**
 * The one table of commands that work on this host instead of through the hub. With trust-commands.ts it is what of the CLI
 * may call the domain. Each is loaded when it runs, so that every other command starts without it.
 */
import { networkInterfaces } from "node:os";
import { basename } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { pushedImageSchema, startedUploadSchema } from "../api/wire.ts";
import { ARCHITECTURES, type Architecture } from "../core/architecture.ts";
import { formatBytes, shortDigest } from "../core/bytes.ts";
import type { HealthCheck } from "../images/manifest.ts";
import type { LoaderChoice } from "../pxe/boot-process-messages.ts";
import type { LoaderFiles } from "../pxe/decide.ts";
import type { Invocation } from "./cli.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { renderChecks } from "./format/doctor-report.ts";
import type { ExamineOptions } from "./io/examine.ts";
import type { LocalCommand } from "./local-command.ts";
import { collect, parsePort, parseSize } from "./options.ts";
import { TRUST_COMMANDS } from "./trust-commands.ts";

export const LOCAL_COMMANDS: readonly LocalCommand[] = [
  {
    path: "images build",
    summary: "make a signed bundle from a root file system or an image",
    declare: command =>
      command
        .requiredOption(
          "--from <source>",
          "directory, tar, ext4 or disk image, qcow2; files also as gz, xz, zst; OCI layout, archive, oci://HOST/NAME:TAG",
        )
        .option("--plain-http", "speak http to the registry of an oci:// image")
        .option("--auth-file <file>", "its credentials (default: Docker's)")
        .requiredOption("--name <name>")
        .requiredOption("--version <version>")
        .requiredOption("--key <file>", "private key of `drp images keys create`")
        .requiredOption("--out <file>", "the bundle to write")
        .addOption(new Option("--arch <architecture>").choices(ARCHITECTURES).default("amd64"))
        .addOption(repeatable("--kernel-argument <argument>", "for the image's kernel").argParser(collect))
        .addOption(
          repeatable("--health <name=command>", "exit code 0 is a pass").argParser(collectHealthCheck),
        )
        .option("--size <size>", "of the file system, such as 2GiB (default: what it needs)", parseSize)
        .option("--release <number>", "counts up with every release (default: the time)", parseRelease)
        .option(
          "--minimum-release <number>",
          "the oldest release it may replace (default: any)",
          parseRelease,
        )
        .addOption(repeatable("--hook <file>", "a program for the machine's agent").argParser(collect))
        .option("--sbom <file>", "bill of materials, which travels with the image")
        .option("--created-at <time>", "same input and time give the same digest (default: now)", parseTime),
    run: buildImageBundle,
  },
  {
    path: "images push",
    summary: "send a signed bundle to the hub; what the hub holds already is not sent again",
    declare: command => command.argument("<bundle>", "file made by `drp images build`"),
    run: pushImage,
  },
  {
    path: "images keys create",
    summary: "make a key pair that signs images",
    declare: command => command.argument("<path>", "of the files PATH.key and PATH.pub"),
    run: createImageKey,
  },
  ...TRUST_COMMANDS,
  {
    path: "config check",
    summary: "read the configuration as `drp serve` would",
    declare: command =>
      command.option("--config <file>", "instead of drp.yaml").option("--data <folder>", "the data folder"),
    run: checkConfig,
  },
  {
    path: "doctor",
    summary: "ask this network what a booting machine would meet",
    declare: command =>
      command
        .option("--host <address>", "the boot server to ask (default: this host, as drp.yaml says)")
        .option("--tftp-port <port>", "of the boot server (default: as drp.yaml says)", parsePort)
        .option("--boot-port <port>", "HTTP port of the boot server (default: as drp.yaml says)", parsePort)
        .option("--interface <name>", "ask for DHCP servers only here"),
    run: runDoctor,
  },
];

const repeatable = (flags: string, description: string) =>
  new Option(flags, `${description} (repeatable)`).default([], "none");

interface BuildOptions {
  readonly from: string;
  readonly plainHttp?: boolean;
  readonly authFile?: string;
  readonly name: string;
  readonly version: string;
  readonly key: string;
  readonly out: string;
  readonly arch: Architecture;
  readonly kernelArgument: readonly string[];
  readonly health: readonly HealthCheck[];
  readonly size?: number;
  readonly release?: number;
  readonly minimumRelease?: number;
  readonly hook: readonly string[];
  readonly sbom?: string;
  readonly createdAt?: number;
}

async function buildImageBundle({ context, options }: Invocation<BuildOptions>): Promise<ExitCode> {
  const { buildImage } = await import("../images/io/build-image.ts");
  const bar = context.startProgress();
  const { interrupted } = context;
  try {
    const built = await buildImage({
      from: options.from,
      registry: {
        ...(options.plainHttp === undefined ? {} : { plainHttp: options.plainHttp }),
        ...(options.authFile === undefined ? {} : { authFile: options.authFile }),
      },
      name: options.name,
      version: options.version,
      architecture: options.arch,
      kernelArguments: options.kernelArgument,
      healthChecks: options.health,
      privateKeyPem: context.readTextFile(options.key),
      out: options.out,
      ...(options.size === undefined ? {} : { sizeBytes: options.size }),
      ...(options.release === undefined ? {} : { release: options.release }),
      ...(options.minimumRelease === undefined ? {} : { minimumRelease: options.minimumRelease }),
      attachments: [
        ...(options.sbom === undefined ? [] : [{ name: "sbom.json", path: options.sbom }]),
        ...options.hook.map(path => ({ name: `hooks/${basename(path)}`, path })),
      ],
      createdAt: options.createdAt ?? context.now(),
      onProgress: ({ phase, doneBytes, totalBytes }) => bar.update({ label: phase, doneBytes, totalBytes }),
      signal: interrupted,
    });
    bar.stop();
    const sizes = `${formatBytes(built.bundleBytes)} for ${formatBytes(built.sizeBytes)} of image`;
    context.out.done(
      built,
      `${options.out}: ${options.name}:${options.version}, ${sizes} (${shortDigest(built.digest)})`,
    );
    context.out.remark(`next: drp images push ${options.out}`);
    return EXIT.done;
  } catch (error) {
    if (error !== interrupted.reason) throw error;
    bar.stop();
    context.out.remark(`interrupted: ${options.out} was not written`);
    return EXIT.failed;
  } finally {
    bar.stop();
  }
}

async function pushImage({ context, args }: Invocation<unknown>): Promise<void> {
  const { pushBundle } = await import("../images/io/push-bundle.ts");
  const [file = ""] = args;
  const bundle = context.openFile(file);
  const api = context.api();
  const bar = context.startProgress();
  let progress = { doneBytes: 0, totalBytes: 0 };
  const { pushed, sentBytes } = await pushBundle(
    bundle,
    {
      begin: head => api.send("/image-uploads", head, "application/x-tar", startedUploadSchema),
      sendChunk: async (image, chunk, frame) => {
        const path = `/image-uploads/${image}/chunks/${chunk}`;
        await api.send(path, frame, "application/zstd", z.null());
      },
      complete: image => api.post(`/image-uploads/${image}/complete`, undefined, pushedImageSchema),
    },
    {
      onProgress: done => {
        progress = done;
        bar.update({ label: "pushing", ...progress });
      },
      onRetry: error => bar.update({ label: `${error.message}; trying again`, ...progress }),
    },
  ).finally(() => bar.stop());
  const { image, alreadyPresent } = pushed;
  const what = alreadyPresent
    ? "was already there"
    : `pushed, ${formatBytes(sentBytes)} sent for ${formatBytes(image.dataBytes)} of data`;
  context.out.done(
    { ...pushed, sentBytes },
    `${image.name}:${image.version} ${what} (${shortDigest(image.digest)})`,
  );
}

async function createImageKey({ context, args }: Invocation<unknown>): Promise<void> {
  const { createKeyFiles } = await import("../images/io/key-files.ts");
  const [name = ""] = args;
  const files = await createKeyFiles(name);
  context.out.done(
    files,
    `${files.privateKeyPath} signs, ${files.publicKeyPath} proves (key id ${files.keyId.slice(0, 16)})`,
  );
  context.out.remark(`next: drp images keys trust ${files.publicKeyPath}`);
}

async function checkConfig({
  context,
  options,
}: Invocation<{ config?: string; data?: string }>): Promise<void> {
  const { loadSettings } = await import("../daemon/io/load-settings.ts");
  const { describeDhcpSettings, settingsToPlain } = await import("../daemon/show-settings.ts");
  const settings = loadSettings({ ...options });
  context.out.done(settingsToPlain(settings), "the configuration is good");
  if (context.out.device.format === "table") context.out.record(null, describeDhcpSettings(settings));
}

interface DoctorOptions {
  readonly host?: string;
  readonly tftpPort?: number;
  readonly bootPort?: number;
  readonly interface?: string;
}

async function runDoctor({ context, options }: Invocation<DoctorOptions>): Promise<ExitCode> {
  const { examine } = await import("./io/examine.ts");
  const { loadSettings } = await import("../daemon/io/load-settings.ts");
  const { decideSiteAddress } = await import("../daemon/site-address.ts");
  const { LOADER_FILES } = await import("../pxe/loader-files.ts");
  const settings = loadSettings();
  const site = decideSiteAddress(networkInterfaces(), settings.dhcp);
  const checks = await examine({
    host: options.host ?? site.address,
    interfaceNames:
      options.interface === undefined ? site.interfaces.map(({ name }) => name) : [options.interface],
    dhcpPort: settings.dhcp.ports.dhcp,
    isProxy: settings.dhcp.mode === "proxy",
    tftpPort: options.tftpPort ?? settings.tftp.port,
    bootPort: options.bootPort ?? settings.boot.port,
    files: filesToFetch(LOADER_FILES, settings.boot.loader),
  });
  if (context.out.device.format === "table")
    context.out.device.write(renderChecks(checks, context.out.paint));
  else context.out.list(checks, [], "");
  return checks.some(check => check.result === "problem") ? EXIT.failed : EXIT.done;
}

/** What a BIOS and an x64 UEFI machine fetch first, and what follows over HTTP. */
function filesToFetch({ ipxe, signed }: LoaderFiles, choice: LoaderChoice): ExamineOptions["files"] {
  const bios = ipxe.bios ?? "";
  const uefi = (choice === "signed" ? signed : ipxe)["x64-uefi"] ?? "";
  // The shim is of no use without what it loads.
  const behind = choice === "signed" ? ["grubx64.efi"] : [];
  return {
    tftp: [bios, uefi, ...behind],
    http: [`loaders/${uefi}`, "ramdisk/vmlinuz", "ramdisk/initrd.img"],
  };
}

/** "kubelet=/usr/bin/systemctl is-active kubelet": split at blanks, never read by a shell. */
function collectHealthCheck(text: string, checks: readonly HealthCheck[]): HealthCheck[] {
  const equals = text.indexOf("=");
  const exec = text
    .slice(equals + 1)
    .split(/\s+/)
    .filter(Boolean);
  if (equals < 1 || exec.length === 0) throw new InvalidArgumentError("Write it as NAME=COMMAND ARGUMENT …");
  return [...checks, { name: text.slice(0, equals), exec, timeoutSeconds: DEFAULT_CHECK_SECONDS }];
}

const DEFAULT_CHECK_SECONDS = 30;

function parseRelease(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new InvalidArgumentError("Write it as a whole number.");
  return Number(text);
}

function parseTime(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new InvalidArgumentError("Write it as 2026-03-01T12:00:00Z.");
  return at;
}
