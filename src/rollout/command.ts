import type { ImageDigest } from "../images/manifest.ts";
import type { MachineTarget } from "./fleet.ts";

/** What a step wants done. All of one step is committed together with the rollout's new record, or none of it. */
export type RolloutCommand =
  | { readonly kind: "set-target"; readonly machineId: string; readonly target: MachineTarget }
  | { readonly kind: "clear-target"; readonly machineId: string }
  /** Leave to wipe the machine's disk and install this image at its next network boot. */
  | { readonly kind: "order-reinstall"; readonly machineId: string; readonly image: ImageDigest }
  | { readonly kind: "deny-image"; readonly image: ImageDigest; readonly reason: string }
  | {
      readonly kind: "deny-on-machine";
      readonly machineId: string;
      readonly image: ImageDigest;
      readonly reason: string;
    }
  | { readonly kind: "set-baseline"; readonly siteId: string; readonly image: ImageDigest | null };
