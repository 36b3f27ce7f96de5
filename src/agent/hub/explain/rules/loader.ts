/** The firmware fetched its loader, or did not come to the end of it. */
import type { Transfer } from "../boot-progress.ts";
import {
  AT_CONSOLE,
  adviceOnBrokenOff,
  brokenOff,
  isStuck,
  meaningOfBrokenOff,
  others,
  type Rule,
  startsAgainWithin,
  TFTP_PORT,
} from "./rule.ts";

export const LOADER_RULES: readonly Rule[] = [
  {
    name: "loader-not-started",
    fits: ({ loader, talk }) =>
      loader?.state === "done" && talk?.speaker !== "ipxe" && talk?.speaker !== "system",
    waitSeconds: 60,
    tone: "bad",
    last: ({ loader, around }) =>
      startsAgainWithin(around, loader?.at ?? 0, 300)
        ? `${loader?.file} was fetched whole, and then the firmware itself asked again, not iPXE`
        : `${loader?.file} was fetched whole, and iPXE was never heard of`,
    meaning: ({ talk }) =>
      talk?.isUefi === false
        ? "the ROM did not start what it loaded: too little memory below 640 KB (NBP is too big), or a ROM with errors"
        : "Secure Boot refused the loader: iPXE is not signed by anyone whom the firmware trusts",
    advice: ({ talk }) =>
      talk?.isUefi === false
        ? [AT_CONSOLE, "Update the card's boot ROM, or let the machine boot by UEFI."]
        : [
            "Set boot.loader: signed in drp.yaml: Debian's signed shim and GRUB pass Secure Boot.",
            "Or switch Secure Boot off in the machine's firmware.",
            'On its screen, "Security Violation" or "Access Denied" confirm it.',
          ],
  },
  {
    name: "loader-missing",
    fits: ({ loader }) => loader?.state === "missing",
    waitSeconds: 0,
    tone: "bad",
    last: ({ loader }) => `it asked for ${loader?.file}, which is not served here`,
    meaning: ({ talk }) =>
      talk === undefined || talk.file === ""
        ? "somebody else told it that name: another DHCP or proxy server, or an entry in its firmware"
        : "the boot files are not built, or older than this program",
    advice: ({ talk, around }) =>
      talk === undefined || talk.file === ""
        ? others(around)
        : ["Make the boot files: npm run build", "`drp doctor` fetches each of them as a machine does."],
  },
  {
    name: "loader-size-only",
    fits: ({ loader }) => loader?.state === "asked",
    waitSeconds: 30,
    tone: "bad",
    last: ({ loader }) => `it asked how large ${loader?.file} is, and did not fetch it`,
    meaning: () => "the firmware has no room for it, or lost the network",
    advice: () => [AT_CONSOLE, TFTP_PORT],
  },
  {
    name: "loader-broken-off",
    fits: ({ loader }) => isStuck(loader),
    waitSeconds: 60,
    tone: "bad",
    last: ({ loader }) => brokenOff(loader),
    meaning: ({ loader }) => meaningOfBrokenOff(loader as Transfer),
    advice: ({ loader }) => adviceOnBrokenOff(loader as Transfer),
  },
];
