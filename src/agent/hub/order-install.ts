/** Decides whether a machine may be ordered to install an image. What is refused here never reaches the machine. */
import type { Architecture } from "../../core/architecture.ts";
import { formatBytes, shortDigest } from "../../core/bytes.ts";
import type { ErrorCode } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { formatDuration } from "../../core/time.ts";
import type { ImageDigest } from "../../images/manifest.ts";
import { type ImageStanding, refuseStanding } from "../../rollout/image-standing.ts";
import type { Disk } from "../protocol.ts";
import { type MachineEvent, machineEvent } from "./machine-event.ts";
import type { InstallIntent, MachineRecord } from "./machine-record.ts";
import { openIntent } from "./machine-record.ts";

export interface InstallableImage {
  readonly digest: ImageDigest;
  readonly name: string;
  readonly version: string;
  readonly architecture: Architecture;
  /** Of the raw image. */
  readonly sizeBytes: number;
  readonly release: number;
}

export interface InstallRequest {
  readonly diskPath: string | null;
  readonly wipe: boolean;
  readonly expiresInMinutes: number;
  readonly maxAttempts: number;
}

export type InstallDecision =
  | { readonly kind: "ordered"; readonly machine: MachineRecord; readonly event: MachineEvent }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly reason: string; readonly advice: string };

/** Refused fleet-wide, and why. */
export interface DeniedImage {
  readonly digest: ImageDigest;
  readonly reason: string;
}

export interface InstallOrderInput {
  readonly machine: MachineRecord;
  readonly image: InstallableImage;
  /** By which the image was asked for, if by one. */
  readonly tag?: string | undefined;
  readonly request: InstallRequest;
  readonly denied: readonly DeniedImage[];
  /** Null: an image that is never refused for its signature or its release, as the way back is not. */
  readonly standing: ImageStanding | null;
  /** What the machine's site runs. */
  readonly baseline: ImageDigest | null;
  readonly createdBy: string;
  readonly now: EpochMs;
  readonly intentId: string;
}

/** @returns the machine with its new intent, one revision further; or why not */
export function orderInstall(input: InstallOrderInput): InstallDecision {
  const { machine, image, request, now } = input;
  const refusal =
    refuseState(machine, now) ??
    refuseDenied(input) ??
    refuseImage(input) ??
    refuseHardware(machine, image, request);
  if (refusal !== undefined) return refusal;

  const intent: InstallIntent = {
    id: input.intentId,
    image: image.digest,
    installGeneration: machine.installGeneration + 1,
    diskPath: request.diskPath,
    wipe: request.wipe,
    createdAt: now,
    createdBy: input.createdBy,
    expiresAt: now + request.expiresInMinutes * 60_000,
    attempts: 0,
    maxAttempts: request.maxAttempts,
  };
  return {
    kind: "ordered",
    machine: {
      ...machine,
      installGeneration: intent.installGeneration,
      state: { kind: "assigned", intent },
      updatedAt: now,
      revision: machine.revision + 1,
    },
    event: machineEvent(machine, now, {
      kind: "install.ordered",
      severity: "info",
      summary: `${input.createdBy} ordered ${image.name}:${image.version}${input.tag === undefined ? "" : ` (tag ${input.tag})`}; the order ends in ${formatDuration(intent.expiresAt - now)}`,
      facts: {
        image: image.digest,
        intent: intent.id,
        wipe: intent.wipe,
        ...(input.tag === undefined ? {} : { tag: input.tag }),
      },
    }),
  };
}

function refuseState(machine: MachineRecord, now: EpochMs): InstallDecision | undefined {
  if (machine.state.kind === "quarantined") {
    return {
      kind: "refused",
      code: "intent.conflict",
      reason: `${machine.name} is quarantined: ${machine.state.reason}`,
      advice: "Find the second machine first, then destroy this record and let the right one register again.",
    };
  }
  const open = openIntent(machine.state);
  if (open !== undefined && now < open.expiresAt) {
    return {
      kind: "refused",
      code: "intent.conflict",
      reason: `${machine.name} already has an open order for ${shortDigest(open.image)} (${machine.state.kind})`,
      advice: `Wait for it, or take it back with: drp machines cancel-install ${machine.name}`,
    };
  }
  return undefined;
}

function refuseDenied({ machine, image, denied }: InstallOrderInput): InstallDecision | undefined {
  const fleet = denied.find(({ digest }) => digest === image.digest);
  const own = machine.denied.find(denial => denial.image === image.digest);
  const reason = fleet?.reason ?? own?.reason;
  if (reason === undefined) return undefined;
  return {
    kind: "refused",
    code: "image.denied",
    reason: `${image.name}:${image.version} is denied ${fleet === undefined ? `on ${machine.name}` : "fleet-wide"}: ${reason}`,
    advice: "Push an image without that fault, or choose another with: drp images list",
  };
}

function refuseImage({ image, standing, baseline }: InstallOrderInput): InstallDecision | undefined {
  return standing === null ? undefined : refuseStanding(image, standing, [baseline]);
}

function refuseHardware(
  machine: MachineRecord,
  image: InstallableImage,
  request: InstallRequest,
): InstallDecision | undefined {
  if (machine.inventory === null) return undefined;
  const { architecture, disks } = machine.inventory;
  if (architecture !== image.architecture) {
    return {
      kind: "refused",
      code: "image.wrong-architecture",
      reason: `${image.name}:${image.version} is built for ${image.architecture}, ${machine.name} is ${architecture}`,
      advice: `Build and push the image for ${architecture}, or choose another with: drp images list`,
    };
  }
  const candidates = disks.filter(disk =>
    request.diskPath === null ? !disk.removable : disk.path === request.diskPath,
  );
  if (candidates.length === 0) {
    return {
      kind: "refused",
      code: "disk.refused",
      reason: `${machine.name} has no ${request.diskPath === null ? "fixed disk" : `disk ${request.diskPath}`}; it has ${describeDisks(disks)}`,
      advice: "Name one of its disks with --disk, or leave the choice to the machine.",
    };
  }
  const largest = Math.max(...candidates.map(disk => disk.sizeBytes));
  // Two slots: the lower bound that any layout needs. The ramdisk, which knows the layout, decides for good.
  if (largest < 2 * image.sizeBytes) {
    return {
      kind: "refused",
      code: "disk.too-small",
      reason: `${image.name}:${image.version} needs two slots of ${formatBytes(image.sizeBytes)}; ${machine.name} has ${describeDisks(candidates)}`,
      advice: "Build a smaller image, or give the machine a larger disk.",
    };
  }
  return undefined;
}

function describeDisks(disks: readonly Disk[]): string {
  if (disks.length === 0) return "no disk";
  return disks.map(disk => `${disk.path} (${formatBytes(disk.sizeBytes)})`).join(", ");
}
