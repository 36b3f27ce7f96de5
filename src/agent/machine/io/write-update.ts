/** Brings the slot that does not run to an image, and makes it bootable: everything of an update up to the trial itself. */
import { mkdir } from "node:fs/promises";
import { machine } from "node:os";
import { join } from "node:path";
import { architectureFromUname } from "../../../core/architecture.ts";
import { formatBytes } from "../../../core/bytes.ts";
import { DrpError } from "../../../core/errors.ts";
import { writeSlotConfig } from "../../../images/io/boot-volume.ts";
import { syncDirectory, writeWhole } from "../../../images/io/durable-files.ts";
import { KeyListFile } from "../../../images/io/key-list-file.ts";
import { SlotChunks } from "../../../images/io/slot-chunks.ts";
import { updateSlot } from "../../../images/io/update-slot.ts";
import type { ImageDigest } from "../../../images/manifest.ts";
import type { Slot } from "../../../images/slot-config.ts";
import type { SignedManifest } from "../../protocol.ts";
import { KEY_LISTS, type MachineConfig } from "../agent-files.ts";
import { describeTally } from "../describe-tally.ts";
import type { RunArguments } from "../kernel-arguments.ts";
import { createFrameFetcher } from "./boot-http.ts";
import type { Say } from "./console.ts";
import type { MachineDisk } from "./machine-disk.ts";
import type { SiteClient } from "./site-client.ts";
import { readSlotManifest } from "./slot-manifest.ts";
import { fetchTrustedImage } from "./trusted-image.ts";

export interface UpdateWork {
  readonly config: MachineConfig;
  readonly client: SiteClient;
  readonly disk: MachineDisk;
  /** The agent's folder on drp-data. */
  readonly home: string;
  /** The one to write: not the one that runs. */
  readonly slot: Slot;
  readonly running: Pick<RunArguments, "slot" | "image">;
  readonly image: ImageDigest;
  readonly say: Say;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Safe to cut off at any moment and to begin again: the slot says that it holds nothing from before its first byte changes
 * until the disk has given every byte back.
 *
 * @throws {DrpError} what stopped it
 * @throws the signal's reason
 */
export async function writeUpdate(work: UpdateWork): Promise<void> {
  const { config, disk, slot, image: digest, say, signal } = work;
  const architecture = architectureFromUname(machine());
  if (architecture === undefined) {
    throw new DrpError("image.wrong-architecture", `there are no images for a ${machine()} processor`);
  }
  const keyLists = await KeyListFile.open(join(work.home, KEY_LISTS), REINSTALL);
  const replaces = await readSlotManifest(work.home, work.running).catch(() => null);
  const image = await fetchTrustedImage({
    client: work.client,
    digest,
    trustedKeys: keyLists.keysAt(Date.now()),
    architecture,
    replaces,
    say,
    signal,
  });
  const { manifest, payload } = image;
  say(`slot ${slot} becomes ${manifest.name}:${manifest.version} (${formatBytes(payload.sizeBytes)})`);

  const frames = createFrameFetcher(config.bootUrl, say);
  const [runningPayload] = replaces?.payloads ?? [];
  try {
    await using present =
      runningPayload && (await SlotChunks.open(disk.slots[work.running.slot], runningPayload));
    const tally = await updateSlot({
      slot: disk.slots[slot],
      payload,
      fetchFrame: frames.fetchFrame,
      readLocalChunk: async (chunk, target) => (await present?.read(chunk, target)) ?? false,
      beforeFirstWrite: () => writeSlotConfig(disk.esp, slot, null),
      onBytesDone: doneBytes => work.onProgress(doneBytes, payload.sizeBytes),
      signal,
    });
    say(describeTally(tally));
  } finally {
    frames.close();
  }
  await keepManifest(join(work.home, "slots", slot), image.signed);
  await writeSlotConfig(disk.esp, slot, {
    partitionGuid: disk.slots[slot].partitionGuid,
    digest,
    kernelArguments: manifest.kernelArguments,
  });
}

const REINSTALL = "Install the machine again; its data partition is not what an install leaves.";

/** The slot's system reads its health checks from here. */
async function keepManifest(folder: string, signed: SignedManifest): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await writeWhole(join(folder, "manifest.json"), signed.manifestText);
  await writeWhole(join(folder, "manifest.sig"), JSON.stringify(signed.signature));
  await syncDirectory(folder);
}
