/**
 * Decides whether an image fits where it would be written. The hub is not told a slot's size; it divides the machine's
 * disk again by the installer's own rule (images/disk-plan.ts), for the image that the machine runs.
 */
import { formatBytes } from "../core/bytes.ts";
import { type DiskPlan, planDisk } from "../images/disk-plan.ts";
import type { FleetImage, FleetMachine } from "./fleet.ts";
import type { Refusal } from "./refusal.ts";
import type { Strategy } from "./rollout-record.ts";

/** @returns undefined when it fits, or when the machine's disks are not known: the machine itself decides then */
export function refuseFit(
  machine: FleetMachine,
  before: FleetImage,
  image: FleetImage,
  strategy: Strategy,
): Refusal | undefined {
  const needed = `${image.name}:${image.version} has ${formatBytes(image.sizeBytes)}`;
  if (strategy === "reimage") {
    const whole = divideFor(machine, image);
    if (typeof whole !== "string") return undefined;
    return refuse(
      `${needed} and does not fit ${machine.name}: ${whole}`,
      "Build a smaller image, or put in a larger disk.",
    );
  }
  const plan = divideFor(machine, before);
  if (plan === undefined || typeof plan === "string") return undefined;
  const slotBytes = plan.partitions.b.sizeBytes;
  if (image.sizeBytes <= slotBytes) return undefined;
  return refuse(
    `${needed} and does not fit a slot of ${machine.name}: ${plan.disk.path} (${formatBytes(plan.disk.sizeBytes)}) has two of ${formatBytes(slotBytes)}, made for ${before.name}:${before.version} (${formatBytes(before.sizeBytes)})`,
    "Build a smaller image, or divide the disks anew with: --strategy reimage",
  );
}

/** The disk as the installer divides it for an image, its refusal in words, or undefined without an inventory. */
function divideFor({ inventory }: FleetMachine, image: FleetImage): DiskPlan | string | undefined {
  if (inventory === null) return undefined;
  const division = planDisk({
    disks: inventory.disks,
    order: { intentId: "", diskPath: null, wipe: false },
    imageBytes: image.sizeBytes,
    firmware: inventory.firmware,
    // Only the partitions' GUIDs are drawn with it, and nobody looks at them here.
    randomBytes: count => new Uint8Array(count),
  });
  return division.kind === "plan" ? division.plan : division.message;
}

function refuse(reason: string, advice: string): Refusal {
  return { kind: "refused", code: "disk.too-small", reason, advice };
}
