/** The machine has its script, and what it says. */
import { AT_CONSOLE, BOOT_PORT, given, MACHINE_PORT, type Rule, startsAgainWithin } from "./rule.ts";

export const SCRIPT_RULES: readonly Rule[] = [
  {
    name: "script-refused",
    fits: ({ script }) => script?.says === "refused",
    waitSeconds: 0,
    tone: "bad",
    last: ({ script }) => `its script says that there is nothing to boot: ${script?.summary}`,
    meaning: () => "the machine asked, and is told nothing by decision, not by failure",
    advice: () => [
      "See what it should run: drp why MACHINE",
      "What unknown machines get is the site's policy: drp sites show SITE",
    ],
  },
  {
    name: "ramdisk-in-vain",
    fits: ({ script }) => script?.says === "disk" && script.because === "ramdisk-in-vain",
    waitSeconds: 0,
    tone: "bad",
    last: ({ script }) => `it was told to boot its own disk: ${script?.summary}`,
    meaning: () => "the ramdisk starts and does not get as far as this site, again and again",
    advice: () => [
      MACHINE_PORT,
      AT_CONSOLE,
      "When that is mended, give a new order: drp machines install MACHINE --image IMAGE",
    ],
  },
  {
    name: "order-spent",
    fits: ({ script }) => script?.says === "disk" && script.because === "order-spent",
    waitSeconds: 0,
    tone: "bad",
    last: ({ script }) => `it was told to boot its own disk, not to install: ${script?.summary}`,
    advice: () => ["Order it anew: drp machines install MACHINE --image IMAGE"],
  },
  {
    name: "quarantined",
    fits: ({ script }) => script?.says === "disk" && script.because === "quarantined",
    waitSeconds: 0,
    tone: "bad",
    last: ({ script }) => `it was told to boot its own disk: ${script?.summary}`,
    meaning: () => "a quarantined machine gets no image and no install until a person has looked",
    advice: () => ["See why, and what to do: drp why MACHINE"],
  },
  {
    name: "disk-and-system",
    fits: ({ script, talk }) => script?.says === "disk" && talk?.speaker === "system" && talk.at >= script.at,
    waitSeconds: 0,
    tone: "good",
    last: ({ talk }) =>
      `it was told to boot its own disk, and the system on it asked for an address${given(talk)}`,
  },
  {
    name: "disk-loop",
    fits: ({ script, around }) => script?.says === "disk" && startsAgainWithin(around, script.at, 300),
    waitSeconds: 0,
    tone: "bad",
    last: () => "it was told to boot its own disk, and was back on the network within minutes",
    meaning: () =>
      "the disk does not start: nothing bootable on it, or made for the other kind of firmware (BIOS, UEFI)",
    advice: () => [
      AT_CONSOLE,
      "Install an image: drp machines install MACHINE --image IMAGE",
      "Check the firmware's boot order.",
    ],
  },
  {
    name: "disk",
    fits: ({ script }) => script?.says === "disk",
    waitSeconds: 0,
    tone: "good",
    last: ({ script }) => `it was told to boot its own disk: ${script?.summary}`,
    meaning: ({ around }) =>
      around.machineState === "healthy"
        ? ""
        : "from here on the machine is on its own; what it boots need not speak to us",
  },
  {
    name: "script-unused",
    fits: ({ script, kernel }) => script?.says === "ramdisk" && kernel === null,
    waitSeconds: 60,
    tone: "bad",
    last: () => "it has its script, and fetched neither kernel nor ramdisk",
    meaning: () =>
      "the download did not begin: another port or route than the script's, or the loader stopped with an error",
    advice: () => [BOOT_PORT, AT_CONSOLE],
  },
];
