/** iPXE or GRUB runs, and has no script so far. */
import { AT_CONSOLE, adviceOnNothing, BOOT_PORT, isShim, type Rule, reasonOf, TFTP_PORT } from "./rule.ts";

export const SECOND_LOADER_RULES: readonly Rule[] = [
  {
    name: "ipxe-no-script",
    fits: ({ talk, script }) => talk?.speaker === "ipxe" && talk.grantedAt !== null && script === null,
    waitSeconds: 60,
    tone: "bad",
    last: ({ talk }) => `iPXE got ${talk?.address || "its address"}, and never fetched its script`,
    meaning: ({ talk }) =>
      talk?.file === ""
        ? `our answer named no script: ${reasonOf(talk)}`
        : "it cannot reach boot HTTP, or waits (iPXE listens up to 16 s for an IPv6 router first)",
    advice: ({ talk }) => (talk?.file === "" ? adviceOnNothing(talk) : [BOOT_PORT, AT_CONSOLE]),
  },
  {
    name: "ipxe-no-address",
    fits: ({ talk }) =>
      talk?.speaker === "ipxe" && talk.grantedAt === null && talk.offeredAt !== null && !talk.byProxy,
    waitSeconds: 60,
    tone: "bad",
    last: ({ talk }) => `iPXE was offered ${talk?.address}, and never took it`,
    meaning: ({ around }) =>
      around.otherServers.length > 0
        ? `another DHCP server may have been quicker: ${around.otherServers.join(", ")}`
        : "the link went down as iPXE took the card over, and the switch waits before it forwards (spanning tree: 30 s)",
    advice: ({ around }) =>
      around.otherServers.length > 0
        ? ["Keep one DHCP server on this network, or set dhcp.mode: proxy."]
        : ["Make the switch port an edge port (PortFast), so that it forwards at once.", AT_CONSOLE],
  },
  {
    name: "grub-no-script",
    fits: ({ grub, script }) => grub?.state === "done" && script === null,
    waitSeconds: 60,
    tone: "bad",
    last: () => "shim and GRUB were fetched whole; GRUB never asked for its script",
    meaning: () => "GRUB did not start, or has no network: it uses the firmware's card and address",
    advice: () => [AT_CONSOLE, TFTP_PORT],
  },
  {
    name: "shim-no-grub",
    fits: ({ loader, grub, talk }) =>
      isShim(loader) && loader?.state === "done" && grub === null && talk?.speaker !== "ipxe",
    waitSeconds: 60,
    tone: "bad",
    last: ({ loader }) => `${loader?.file} was fetched whole; GRUB, which it loads next, was never asked for`,
    meaning: () =>
      "Secure Boot does not trust shim's signer: the firmware holds no Microsoft third-party key",
    advice: () => [
      'Allow "Microsoft 3rd-party UEFI CA" in the firmware\'s Secure Boot settings.',
      "Where Secure Boot is off, boot.loader: ipxe boots without it.",
    ],
  },
];
