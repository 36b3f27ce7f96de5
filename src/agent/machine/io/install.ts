/** The install, as the ramdisk does it: register, wait for the order, carry it out, tell. Decisions are made elsewhere. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { formatBytes } from "../../../core/bytes.ts";
import { DrpError } from "../../../core/errors.ts";
import type { EpochMs } from "../../../core/time.ts";
import { planDisk } from "../../../images/disk-plan.ts";
import type { LoaderFiles } from "../../../images/install-loader.ts";
import { installDisk } from "../../../images/io/install-disk.ts";
import { encodeKeyListFile, keysOnMachine } from "../../../images/io/key-list-file.ts";
import { parseKeyChain } from "../../../images/key-chain.ts";
import {
  type InstallOrder,
  type Inventory,
  MACHINE_PROTOCOL_VERSION,
  nextAnswerSchema,
  type RegisterAnswer,
  type RegisterRequest,
  registerAnswerSchema,
} from "../../protocol.ts";
import type { FleetTrust } from "../agent-files.ts";
import { describeTally } from "../describe-tally.ts";
import type { InstallArguments } from "../kernel-arguments.ts";
import { createFrameFetcher } from "./boot-http.ts";
import { explainError, type Say } from "./console.ts";
import { createMachineKey, type MachineKey } from "./machine-key.ts";
import { ProgressReporter } from "./progress-reporter.ts";
import { retryWhileUnreachable } from "./retry.ts";
import { SiteClient } from "./site-client.ts";
import { stageData } from "./stage-data.ts";
import { fetchTrustedImage } from "./trusted-image.ts";

export interface InstallContext {
  readonly arguments: InstallArguments;
  readonly fleet: FleetTrust;
  /** Of the ramdisk. */
  readonly builtAt: EpochMs;
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
  const { say, inventory, fleet, builtAt, machine } = session;
  const image = await fetchTrustedImage({
    client: session.client,
    digest: order.image,
    trustedKeys: keysOnMachine(parseKeyChain(fleet.keyLists), Date.now(), builtAt),
    architecture: inventory.architecture,
    say,
  });
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
    bootUrl: session.arguments.bootUrl,
    ...machine,
    installGeneration: order.installGeneration,
    caPem: fleet.caPem,
  };
  const keyLists = encodeKeyListFile(builtAt, fleet.keyLists);
  await stageData(folder, { config, key: session.key, signed: image.signed, keyLists });
  const frames = createFrameFetcher(session.arguments.bootUrl, say);
  try {
    const tally = await installDisk({
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
    say(describeTally(tally));
  } finally {
    frames.close();
  }
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
