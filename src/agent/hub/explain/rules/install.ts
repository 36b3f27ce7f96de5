/** The last stage: the image is being installed, or its system runs. */
import { AT_CONSOLE, type Rule } from "./rule.ts";

export const INSTALL_RULES: readonly Rule[] = [
  {
    name: "runs",
    fits: ({ booted, install }) => booted !== null && booted.at >= (install?.at ?? 0),
    waitSeconds: 0,
    tone: "good",
    last: ({ booted }) => booted?.summary ?? "",
  },
  {
    name: "install-failed",
    fits: ({ install }) => install?.phase === "failed",
    waitSeconds: 0,
    tone: "bad",
    last: ({ install }) => `the install failed: ${install?.summary}`,
    meaning: () =>
      "the order keeps its place while it has attempts left: the machine restarts and tries again",
    advice: () => ["Mend what the message names, then order the install again: drp machines install MACHINE"],
  },
  {
    name: "written",
    fits: ({ install }) => install?.phase === "written",
    waitSeconds: 300,
    tone: "bad",
    last: () =>
      "the image was written and read back, and the machine restarted from its disk; no sign of life since",
    meaning: () =>
      "its firmware does not start the disk, or the system on it starts and does not reach this site",
    advice: () => [
      AT_CONSOLE,
      "Check that the disk is in the firmware's boot order, and that firmware and image agree on BIOS or UEFI.",
    ],
  },
  {
    name: "installing",
    fits: ({ install }) => install !== null,
    waitSeconds: 300,
    tone: "bad",
    last: ({ install }) => `installing, ${install?.phase}`,
    meaning: () => "it lost the network, hangs on its disk, or was switched off",
    advice: () => [AT_CONSOLE, "Restart it: an order that is still open begins anew."],
  },
  {
    name: "registered",
    fits: ({ registeredAt }) => registeredAt !== null,
    waitSeconds: 0,
    tone: "good",
    last: ({ around }) =>
      around.machineState === "discovered" ? "it registered and waits for an order" : "it registered",
    advice: ({ around }) =>
      around.machineState === "discovered"
        ? ["Give it an image: drp machines install MACHINE --image IMAGE"]
        : [],
  },
];
