/**
 * What a boot of the installed system turned out to be: the confirmed slot, a trial, or the way back from one. Decided from
 * what GRUB left on the ESP and what the agent kept on drp-data, in whatever order a power cut let them be written.
 */
import type { BootState } from "../../images/grub-env.ts";
import type { ImageDigest } from "../../images/manifest.ts";
import type { Slot } from "../../images/slot-config.ts";
import type { KeptUpdate } from "./agent-files.ts";

export interface RunningSystem {
  readonly slot: Slot;
  readonly image: ImageDigest;
  readonly bootId: string;
}

export interface BootOutcome {
  /** GRUB boots this slot once, and then the confirmed one again, unless the agent confirms. */
  readonly isTrial: boolean;
  /** To be kept first. */
  readonly kept: KeptUpdate | null;
  /** To be written to the ESP then, where it differs. */
  readonly bootState: BootState;
}

/** @param bootState null when the environment block cannot be used */
export function settleBoot(
  running: RunningSystem,
  bootState: BootState | null,
  kept: KeptUpdate | null,
): BootOutcome {
  if (bootState !== null && bootState.trial === running.slot && bootState.confirmed !== running.slot) {
    return { isTrial: true, kept: keptInTrial(running, bootState, kept), bootState };
  }
  if (bootState !== null && isStillArmed(running, bootState, kept))
    return { isTrial: false, kept, bootState };
  return {
    isTrial: false,
    kept: kept && keptOutsideTrial(running, bootState, kept),
    // GRUB boots this slot when no trial is on, whatever brought it here: a lost environment block, or an emptied slot.
    bootState: { confirmed: running.slot, trial: null, tries: 0, attempt: bootState?.attempt ?? 0 },
  };
}

/** Null for a trial that nobody here asked for: it is never confirmed. */
function keptInTrial(
  running: RunningSystem,
  bootState: BootState,
  kept: KeptUpdate | null,
): KeptUpdate | null {
  const isAwaited =
    kept !== null &&
    (kept.phase === "armed" || kept.phase === "trial") &&
    kept.image === running.image &&
    kept.attempt === bootState.attempt;
  return isAwaited ? { ...kept, phase: "trial" } : null;
}

/** The agent alone was restarted between arming and reboot. */
function isStillArmed(running: RunningSystem, bootState: BootState, kept: KeptUpdate | null): boolean {
  const isArmed = kept?.phase === "armed" && kept.armedInBoot === running.bootId;
  return isArmed && bootState.confirmed === running.slot && bootState.trial !== null && bootState.tries === 1;
}

function keptOutsideTrial(running: RunningSystem, bootState: BootState | null, kept: KeptUpdate): KeptUpdate {
  if (kept.phase !== "armed" && kept.phase !== "trial") return kept;
  const isNextBoot = kept.armedInBoot !== running.bootId;
  if (kept.strategy === "reimage") {
    return isNextBoot
      ? failed(kept, "the machine came back from its own disk: the network did not install it")
      : kept;
  }
  // Confirmed on the ESP, and cut off before that was kept here.
  if (running.image === kept.image) return { ...kept, phase: "confirmed", reason: "" };
  if (bootState === null) return failed(kept, "GRUB's environment block on the boot partition was lost");
  if (bootState.trial === null) {
    // Cut off before the trial was written to the ESP.
    return kept.phase === "armed" ? { ...kept, phase: "written", armedInBoot: null } : fellBack(kept);
  }
  if (bootState.tries === 1) {
    return failed(
      kept,
      `GRUB did not take the trial of slot ${bootState.trial}: it cannot write to the boot partition`,
    );
  }
  return fellBack(kept);
}

function fellBack(kept: KeptUpdate): KeptUpdate {
  const reason =
    kept.phase === "armed"
      ? "the trial boot ended before its agent started"
      : "the trial boot ended before its agent could say why";
  return { ...kept, phase: "fell-back", reason: kept.reason || reason };
}

function failed(kept: KeptUpdate, reason: string): KeptUpdate {
  return { ...kept, phase: "failed", reason };
}
