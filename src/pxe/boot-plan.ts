/** What a machine that has come to its script is to boot, before it is a script of iPXE's or GRUB's. */
import type { BootEvent } from "../dhcp/boot-event.ts";

/**
 * Why a machine boots its disk although there is something to install or to look at; for programs. ramdisk-in-vain: the ramdisk
 * never got as far as this site. order-spent: its order has expired, or used up its attempts.
 */
export type DiskCause = "ramdisk-in-vain" | "order-spent" | "quarantined";

export type BootPlan =
  | {
      readonly kind: "ramdisk";
      /** Of the boot HTTP server, at the address at which the machine reached us; TFTP serves the same names. */
      readonly kernelUrl: string;
      readonly initrdUrl: string;
      readonly arguments: readonly string[];
      /** Shown on the machine's timeline. */
      readonly reason: string;
      /** The install order that it starts for; null: to be discovered. */
      readonly order: CountedOrder | null;
    }
  /** Its own disk; the reason is shown on the machine's screen. */
  | {
      readonly kind: "disk";
      readonly reason: string;
      readonly because: DiskCause | null;
      /** An EFI program that starts the local disk (boot/local-boot.ts). */
      readonly uefiLoaderUrl: string;
    }
  /** Nothing to boot here, not even its disk: the firmware's next choice. */
  | { readonly kind: "refused"; readonly reason: string };

export interface CountedOrder {
  readonly id: string;
  /** Used up before this one. */
  readonly attempts: number;
}

export type ScriptFormat = "ipxe" | "grub";

/** "script.ramdisk", "script.disk", "script.refused" */
export function describeScript(plan: BootPlan, format: ScriptFormat): BootEvent {
  const order = plan.kind === "ramdisk" ? plan.order : null;
  const because = plan.kind === "disk" ? plan.because : null;
  return {
    kind: `script.${plan.kind}`,
    summary: plan.kind === "ramdisk" ? `boots the ramdisk: ${plan.reason}` : plan.reason,
    facts: {
      format,
      ...(order === null ? {} : { intent: order.id, attempts: order.attempts }),
      ...(because === null ? {} : { because }),
    },
  };
}
