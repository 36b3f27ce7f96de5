/** The install, as the ramdisk does it: register, wait for the order, carry it out, tell. Decisions are made elsewhere. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { formatBytes } from "../../../core/bytes.ts";
import { DrpError } from "../../../core/errors.ts";
import { imageDigest } from "../../../images/digest.ts";
import { planDisk } from "../../../images/disk-plan.ts";
import type { LoaderFiles } from "../../../images/install-loader.ts";
import { installDisk } from "../../../images/io/install-disk.ts";
import type { ImageDigest, Manifest, Payload } from "../../../images/manifest.ts";
import { verifyManifest } from "../../../images/signature.ts";
import {
  type InstallOrder,
  type Inventory,
  MACHINE_PROTOCOL_VERSION,
  nextAnswerSchema,
  type RegisterAnswer,
  type RegisterRequest,
  registerAnswerSchema,
  type SignedManifest,
  signedManifestSchema,
} from "../../protocol.ts";
import type { FleetTrust } from "../agent-files.ts";
import type { InstallArguments } from "../kernel-arguments.ts";
import { createFrameFetcher } from "./boot-http.ts";
import { explainError, type Say } from "./console.ts";
import { createMachineKey, type MachineKey } from "./machine-key.ts";
import { ProgressReporter } from "./progress-reporter.ts";
import { retryWhileUnreachable } from "./retry.ts";
import { SiteClient } from "./site-client.ts";
import { stageData } from "./stage-data.ts";

export interface InstallContext {
  readonly arguments: InstallArguments;
  readonly fleet: FleetTrust;
  readonly inventory: Inventory;
  readonly bootId: string;
  /** Holds boot.img, core.img, BOOTX64.EFI and grub.cfg. */
  readonly loaderFolder: string;
  readonly say: Say;
}

/** A registered machine in the middle of its conversation with the site. */
interface Session extends InstallContext {
  readonly key: MachineKey;
  readonly client: SiteClient;
  readonly machine: RegisterAnswer;
}

/**
 * Resolves when the machine should reboot into its own disk: installed, or nothing to install.
 *
 * @throws {DrpError} what stopped the install; the site has been told where it could be
 */
export async function installMachine(context: InstallContext): Promise<void> {
  const { fleet, say } = context;
  const key = await createMachineKey();
  const client = new SiteClient(context.arguments.siteUrl, fleet.caPem, key);
  try {
    const machine = await register(client, context);
    say(`registered as ${machine.machineName} (${machine.machineId})`);
    const session: Session = { ...context, key, client, machine };
    const order = await awaitOrder(session);
    if (order !== null) await carryOut(session, order);
  } finally {
    client.close();
  }
}

async function register(client: SiteClient, context: InstallContext): Promise<RegisterAnswer> {
  const request: RegisterRequest = {
    protocolVersion: MACHINE_PROTOCOL_VERSION,
    bootToken: context.arguments.bootToken,
    bootMac: context.arguments.bootMac,
    bootId: context.bootId,
    inventory: context.inventory,
  };
  return await retryWhileUnreachable("registering", context.say, () =>
    client.post("/register", request, registerAnswerSchema),
  );
}

/** @returns null when the machine is to boot its disk */
async function awaitOrder({ client, say }: Session): Promise<InstallOrder | null> {
  let saidReason = "";
  for (;;) {
    const answer = await retryWhileUnreachable("asking what to do", say, () =>
      client.post("/next", {}, nextAnswerSchema),
    );
    if (answer.kind === "install") return answer.order;
    if (answer.kind === "boot-disk") {
      say(`nothing to install: ${answer.reason}`);
      return null;
    }
    if (answer.reason !== saidReason) say(`waiting: ${answer.reason}`);
    saidReason = answer.reason;
    await delay(answer.pollSeconds * 1000);
  }
}

async function carryOut(session: Session, order: InstallOrder): Promise<void> {
  using progress = new ProgressReporter(order.intentId, session.client, session.say);
  const folder = await mkdtemp(join(tmpdir(), "drp-install-"));
  try {
    await installImage(session, order, folder, progress);
    await progress.finish("booting", "");
  } catch (error) {
    await progress.finish("failed", explainError(error));
    throw error;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function installImage(
  session: Session,
  order: InstallOrder,
  folder: string,
  progress: ProgressReporter,
): Promise<void> {
  const { say, inventory, fleet, machine } = session;
  const image = await fetchManifest(session, order.image);
  const { manifest, payload } = image;
  const planned = planDisk({
    disks: inventory.disks,
    order,
    imageBytes: payload.sizeBytes,
    firmware: inventory.firmware,
    randomBytes,
  });
  if (planned.kind === "refuse")
    throw new DrpError(planned.code, planned.message, { advice: planned.advice });
  const { plan } = planned;
  say(
    `installing ${manifest.name}:${manifest.version} (${formatBytes(payload.sizeBytes)}) ` +
      `on ${plan.disk.path} (${formatBytes(plan.disk.sizeBytes)})`,
  );

  const config = {
    siteUrl: session.arguments.siteUrl,
    ...machine,
    installGeneration: order.installGeneration,
    ...fleet,
  };
  await stageData(folder, config, session.key, image.signed);
  const frames = createFrameFetcher(session.arguments.bootUrl, say);
  try {
    await installDisk({
      plan,
      order,
      digest: order.image,
      manifest,
      payload,
      loader: await readLoader(session.loaderFolder),
      dataFolder: folder,
      fetchFrame: frames.fetchFrame,
      randomBytes,
      onProgress: (phase, doneBytes) => progress.update(phase, doneBytes, payload.sizeBytes),
    });
  } finally {
    frames.close();
  }
}

interface TrustedImage {
  readonly signed: SignedManifest;
  readonly manifest: Manifest;
  readonly payload: Payload;
}

/** Nothing that the site says of an image counts until the manifest is the ordered one and signed by a pinned key. */
async function fetchManifest(session: Session, digest: ImageDigest): Promise<TrustedImage> {
  const { client, say, fleet, inventory } = session;
  const signed = await retryWhileUnreachable("fetching the manifest", say, () =>
    client.get(`/images/${digest}`, signedManifestSchema),
  );
  const manifest = verifyManifest(signed, fleet.imageKeys);
  const actual = imageDigest(signed.manifestText);
  if (actual !== digest) {
    throw new DrpError("bundle.tampered", `the site gave image ${actual} instead of ${digest}`, {
      advice: "Order the install again; if that does not help, look for who answers in the site's name.",
    });
  }
  if (manifest.architecture !== inventory.architecture) {
    throw new DrpError(
      "image.wrong-architecture",
      `${manifest.name}:${manifest.version} is for ${manifest.architecture}; this machine is ${inventory.architecture}`,
      { advice: `Order an image for ${inventory.architecture}.` },
    );
  }
  const [payload] = manifest.payloads;
  if (payload?.name !== "rootfs.img") {
    throw new DrpError("version.unsupported", `${manifest.name}:${manifest.version} has no rootfs.img`, {
      advice: "Build it for A/B machines, with a rootfs.img.",
    });
  }
  return { signed, manifest, payload };
}

async function readLoader(folder: string): Promise<LoaderFiles> {
  const read = async (name: string) =>
    await readFile(join(folder, name)).catch(cause => {
      throw new DrpError("boot-files.missing", `the ramdisk lacks ${name}`, {
        advice: "Build the boot files again.",
        cause,
      });
    });
  return {
    bootImage: await read("boot.img"),
    coreImage: await read("core.img"),
    efiImage: await read("BOOTX64.EFI"),
    grubConfig: await read("grub.cfg"),
  };
}
