/** Decides what a machine does that waits in the ramdisk and asks. */
import type { EpochMs } from "../../core/time.ts";
import type { NextAnswer } from "../protocol.ts";
import { whySpent } from "./decide-boot.ts";
import type { SiteMachine } from "./view.ts";

/** A machine that has an own system to boot is not kept from it for longer than this. */
const DISCOVERY_WAIT_MS = 10 * 60_000;
const POLL_SECONDS = 3;

export type NextDecision =
  | { readonly kind: "answer"; readonly answer: NextAnswer }
  /** Count an attempt of the order first (durably), then ask again. */
  | { readonly kind: "redeem"; readonly intentId: string };

/**
 * @param redeemedIntentId the order that this boot of the ramdisk has been counted for, or null
 * @param registeredAt when this boot of the ramdisk registered
 */
export function decideNext(
  machine: SiteMachine,
  redeemedIntentId: string | null,
  registeredAt: EpochMs,
  now: EpochMs,
): NextDecision {
  if (machine.quarantineReason !== null) return bootDisk(`quarantined: ${machine.quarantineReason}`);
  const { intent } = machine;
  if (intent !== null) {
    if (intent.id === redeemedIntentId) {
      const { image, installGeneration, diskPath, wipe } = intent;
      return answer({
        kind: "install",
        order: { intentId: intent.id, image, installGeneration, diskPath, wipe },
      });
    }
    const spent = whySpent(intent, now);
    return spent === undefined ? { kind: "redeem", intentId: intent.id } : bootDisk(spent);
  }
  if (machine.blank) return wait("no install order yet");
  return now - registeredAt < DISCOVERY_WAIT_MS
    ? wait("no install order yet; after ten minutes it boots its own disk")
    : bootDisk("no install order came within ten minutes");
}

function answer(next: NextAnswer): NextDecision {
  return { kind: "answer", answer: next };
}

function wait(reason: string): NextDecision {
  return answer({ kind: "wait", reason, pollSeconds: POLL_SECONDS });
}

function bootDisk(reason: string): NextDecision {
  return answer({ kind: "boot-disk", reason });
}
