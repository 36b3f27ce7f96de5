/**
 * GRUB's environment block (GRUB manual, "Environment block"): which slot is confirmed, and which one is on trial. GRUB
 * counts tries in it before it boots; only the machine agent confirms.
 */
import { isSlot, type Slot } from "./slot-config.ts";

export interface BootState {
  /** Boots unless a trial is on. */
  readonly confirmed: Slot;
  readonly trial: Slot | null;
  /** Boots that the trial slot has left. */
  readonly tries: number;
  /** Which update the trial belongs to. */
  readonly attempt: number;
}

/** The size that GRUB's tools make; GRUB itself writes back only what it read. */
export const GRUB_ENV_BYTES = 1024;
const HEADER = "# GRUB Environment Block\n";
/** The variables must lie in one sector, so that a power cut leaves the old ones or the new ones. */
const VARIABLE_BYTES = 512;

/** @returns exactly GRUB_ENV_BYTES, the variables within the first 512 */
export function encodeGrubEnv(state: BootState): Buffer {
  const text = [
    HEADER,
    `confirmed=${state.confirmed}\n`,
    `trial=${state.trial ?? ""}\n`,
    `tries=${state.tries}\n`,
    `attempt=${state.attempt}\n`,
  ].join("");
  if (text.length > VARIABLE_BYTES) throw new RangeError(`GRUB variables take ${text.length} bytes, not 512`);
  return Buffer.from(text.padEnd(GRUB_ENV_BYTES, "#"), "latin1");
}

/** @returns null for what grub.cfg cannot use either: it then boots slot a */
export function decodeGrubEnv(block: Uint8Array): BootState | null {
  const text = Buffer.from(block).toString("latin1", 0, VARIABLE_BYTES);
  if (!text.startsWith(HEADER)) return null;
  const variables = new Map(
    [...text.matchAll(/^([a-z]+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  const confirmed = variables.get("confirmed");
  const trial = variables.get("trial");
  const attempt = Number(variables.get("attempt") ?? 0);
  if (!isSlot(confirmed) || !Number.isSafeInteger(attempt)) return null;
  return {
    confirmed,
    trial: isSlot(trial) ? trial : null,
    tries: variables.get("tries") === "1" ? 1 : 0,
    attempt,
  };
}
