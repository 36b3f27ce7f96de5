/** Kernel and ramdisk were fetched, or did not come whole. */
import type { Transfer } from "../boot-progress.ts";
import {
  AT_CONSOLE,
  adviceOnBrokenOff,
  brokenOff,
  isStuck,
  MACHINE_PORT,
  meaningOfBrokenOff,
  type Rule,
} from "./rule.ts";

export const RAMDISK_RULES: readonly Rule[] = [
  {
    name: "ramdisk-silent",
    fits: ({ ramdisk, kernel }) => ramdisk?.state === "done" && kernel?.state === "done",
    waitSeconds: 180,
    tone: "bad",
    last: ({ talk }) =>
      talk?.speaker === "system" && talk.grantedAt !== null
        ? `kernel and ramdisk were fetched, and the ramdisk got ${talk.address}; it never registered`
        : "kernel and ramdisk were fetched whole; the ramdisk never registered",
    meaning: ({ talk }) =>
      talk?.speaker === "system"
        ? "the ramdisk runs, and does not reach the machine channel or is refused there"
        : "the kernel did not start (too little memory: give it 1 GiB; Secure Boot; a card that it has no driver for), or has no network",
    advice: ({ talk }) =>
      talk?.speaker === "system"
        ? [
            MACHINE_PORT,
            "Look for refusals of its token or its clock: drp events list --limit 100",
            AT_CONSOLE,
          ]
        : [AT_CONSOLE, "Check its memory, and that its network card is in the ramdisk's kernel."],
  },
  {
    name: "ramdisk-broken-off",
    fits: ({ kernel, ramdisk }) => isStuck(kernel) || isStuck(ramdisk),
    waitSeconds: 120,
    tone: "bad",
    last: seen => `${brokenOff(isStuck(seen.kernel) ? seen.kernel : seen.ramdisk)}`,
    meaning: ({ kernel, ramdisk }) => meaningOfBrokenOff((isStuck(kernel) ? kernel : ramdisk) as Transfer),
    advice: ({ kernel, ramdisk }) => adviceOnBrokenOff((isStuck(kernel) ? kernel : ramdisk) as Transfer),
  },
  {
    name: "kernel-alone",
    fits: ({ kernel, ramdisk }) => kernel?.state === "done" && ramdisk === null,
    waitSeconds: 120,
    tone: "bad",
    last: () => "the kernel was fetched; its ramdisk was never asked for",
    meaning: () =>
      "the loader refused the kernel (Secure Boot and a signature that it does not know), or ran out of memory",
    advice: () => [
      AT_CONSOLE,
      "With Secure Boot on, set boot.loader: signed, so that the whole chain is signed.",
    ],
  },
];
