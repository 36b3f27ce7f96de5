/**
 * Decides what a machine boots that asks for its boot script. Endless boot-and-wipe loops are what breaks in the field
 * (sidero#1321, talos#9408, tink#116): only an open install order leads into the installer, every order expires and is
 * counted, and everything else boots the machine's own disk.
 */
import { shortDigest } from "../../core/bytes.ts";
import type { EpochMs } from "../../core/time.ts";
import type { InstallIntent } from "../hub/machine-record.ts";
import { MAX_VAIN_STARTS } from "./ramdisk-starts.ts";
import type { SiteMachine, UnknownPolicy } from "./view.ts";

/** Why it is the disk although there is something to install or to look at: for programs, as pxe/boot-plan.ts has it. */
type DiskCause = "ramdisk-in-vain" | "order-spent" | "quarantined";

export type BootDecision =
  /** Start the ramdisk, which registers and then asks what to do. */
  | { readonly kind: "ramdisk"; readonly order: InstallIntent | null; readonly reason: string }
  | { readonly kind: "disk"; readonly because: DiskCause | null; readonly reason: string }
  | { readonly kind: "silent"; readonly reason: string };

/**
 * @param machine undefined when no machine of the site has this MAC address
 * @param vainStarts how often it started the ramdisk for the same without registering from there (ramdisk-starts.ts)
 */
export function decideBoot(
  machine: SiteMachine | undefined,
  unknown: UnknownPolicy,
  vainStarts: number,
  now: EpochMs,
): BootDecision {
  const decision = decideByOrder(machine, unknown, now);
  if (decision.kind !== "ramdisk" || vainStarts < MAX_VAIN_STARTS) return decision;
  const reason = `it started the ramdisk ${vainStarts} times without registering from there; an hour after the last time, or with a new order, it may again`;
  return { kind: "disk", because: "ramdisk-in-vain", reason };
}

function decideByOrder(machine: SiteMachine | undefined, unknown: UnknownPolicy, now: EpochMs): BootDecision {
  if (machine === undefined) return decideUnknown(unknown);
  if (machine.quarantineReason !== null) {
    return { kind: "disk", because: "quarantined", reason: `quarantined: ${machine.quarantineReason}` };
  }
  if (machine.intent !== null) {
    const spent = whySpent(machine.intent, now);
    return spent === undefined
      ? {
          kind: "ramdisk",
          order: machine.intent,
          reason: `order ${machine.intent.id} to install ${shortDigest(machine.intent.image)}`,
        }
      : { kind: "disk", because: "order-spent", reason: spent };
  }
  if (machine.blank) {
    return {
      kind: "ramdisk",
      order: null,
      reason: "nothing was ever installed here; it waits for an order",
    };
  }
  return { kind: "disk", because: null, reason: "no open install order" };
}

/** Why an order leads to no further install, or undefined while it still does. */
export function whySpent(intent: InstallIntent, now: EpochMs): string | undefined {
  if (now >= intent.expiresAt) return `order ${intent.id} has expired`;
  if (intent.attempts >= intent.maxAttempts) {
    return `order ${intent.id} has used its ${intent.maxAttempts} attempts`;
  }
  return undefined;
}

function decideUnknown(policy: UnknownPolicy): BootDecision {
  switch (policy) {
    case "discover":
      return { kind: "ramdisk", order: null, reason: "unknown machine, and the site discovers those" };
    case "disk":
      return {
        kind: "disk",
        because: null,
        reason: "unknown machine, and the site leaves those to their disk",
      };
    case "silent":
      return { kind: "silent", reason: "unknown machine, and the site does not answer those" };
  }
}
