/** DHCP: what was asked for, and what came of our answer. */
import {
  AT_CONSOLE,
  adviceOnNothing,
  afterColon,
  BOOT_PORT,
  others,
  type Rule,
  reasonOf,
  TFTP_PORT,
  times,
} from "./rule.ts";

export const ADDRESS_RULES: readonly Rule[] = [
  {
    name: "system",
    fits: ({ talk }) => talk?.speaker === "system" && talk.grantedAt !== null && talk.refused === null,
    waitSeconds: 0,
    tone: "quiet",
    last: ({ talk }) =>
      `an operating system asked for an address and got ${talk?.address}: it did not ask for anything to boot`,
    meaning: () => "the machine started from its disk, without network boot",
    advice: () => [
      "To boot it from here, choose network boot (PXE or HTTP, IPv4) in its firmware for the next start.",
    ],
  },
  {
    name: "nothing-to-boot",
    fits: ({ talk }) =>
      talk !== undefined && talk.speaker !== "system" && talk.grantedAt !== null && talk.file === "",
    waitSeconds: 0,
    tone: "bad",
    last: ({ talk }) => `it got ${talk?.address}, and nothing to boot: ${reasonOf(talk)}`,
    advice: ({ talk }) => adviceOnNothing(talk),
  },
  {
    name: "loader-never-asked",
    fits: ({ talk }) => talk !== undefined && talk.grantedAt !== null && talk.file !== "",
    waitSeconds: 60,
    tone: "bad",
    last: ({ talk }) =>
      `it got ${talk?.byProxy ? "its boot file's name" : talk?.address}, and never asked for ${talk?.file}`,
    meaning: ({ talk, around }) =>
      talk?.speaker === "uefi-http"
        ? "it cannot reach boot HTTP, or its firmware refuses plain http (a setting of HTTP boot)"
        : around.otherServers.length > 0
          ? `it may have taken the file name of another server: ${around.otherServers.join(", ")}`
          : "TFTP does not reach us, or the firmware took a file name from elsewhere",
    advice: ({ talk, around }) =>
      talk?.speaker === "uefi-http"
        ? [BOOT_PORT, "Allow HTTP connections without TLS in the firmware's network settings.", AT_CONSOLE]
        : [TFTP_PORT, ...others(around), AT_CONSOLE],
  },
  {
    name: "taken-elsewhere",
    fits: ({ talk }) => talk?.because === "other-server",
    waitSeconds: 0,
    tone: "bad",
    last: ({ talk }) => `it was offered an address, and went to another server: ${talk?.silence}`,
    meaning: () => "two DHCP servers answer on this network, and the other one was quicker or named a file",
    advice: () => [
      "Switch the other server off for this network; or set dhcp.mode: proxy, and let it give the addresses.",
    ],
  },
  {
    name: "refused",
    fits: ({ talk }) => talk !== undefined && talk.refused !== null,
    waitSeconds: 30,
    tone: "bad",
    last: ({ talk }) => `it asked for an address that it may not have, and was refused: ${talk?.refused}`,
    meaning: () => "after a refusal (NAK) a client asks anew at once; this one did not",
    advice: () => ["Restart its network or the machine.", AT_CONSOLE],
  },
  {
    name: "no-address-left",
    fits: ({ talk }) => talk?.because === "pool-empty",
    waitSeconds: 0,
    tone: "bad",
    last: ({ talk }) => `it asked for an address, and there is none left: ${afterColon(talk?.silence)}`,
    advice: () => [
      "Make a pool larger, or leases shorter: dhcp.subnets[].pools and leaseMinutes.",
      "See who holds them: drp leases list",
    ],
  },
  {
    name: "wrong-subnet",
    fits: ({ talk }) => talk?.because === "no-subnet",
    waitSeconds: 0,
    tone: "bad",
    last: ({ talk }) => `it asked for an address from a network that is not served: ${talk?.silence}`,
    meaning: () => "its relay or the interface has an address in no subnet of dhcp.subnets",
    advice: () => ["Add the subnet to dhcp.subnets, or correct the relay's address (giaddr)."],
  },
  {
    name: "answer-not-sent",
    fits: ({ talk, unsent }) =>
      unsent !== null && unsent.at >= (talk?.at ?? 0) && (talk?.grantedAt ?? null) === null,
    waitSeconds: 0,
    tone: "bad",
    last: ({ unsent }) => `it asked, and ${unsent?.summary}`,
    meaning: () => "the fault is on this site's side, and likely not this machine's alone",
    advice: () => ["Mend what the message names; the machine asks again by itself, or restart it."],
  },
  {
    name: "offer-not-taken",
    fits: ({ talk }) => talk !== undefined && talk.offeredAt !== null && !talk.byProxy,
    waitSeconds: 60,
    tone: "bad",
    last: ({ talk }) => `it was offered ${talk?.address} ${times(talk)}, and never took it`,
    meaning: ({ around }) =>
      around.otherServers.length > 0
        ? `another DHCP server may have been quicker: ${around.otherServers.join(", ")}`
        : "our answer does not reach it (VLAN, relay, a switch that drops server answers: DHCP snooping), or another server was quicker",
    advice: ({ around }) => [
      ...others(around),
      "Where switches do DHCP snooping, make this server's port trusted.",
      "Behind a relay: check that its address reaches this site, and that it passes answers on.",
    ],
  },
  {
    name: "proxy-offer-not-taken",
    fits: ({ talk }) => talk?.byProxy === true && talk.offeredAt !== null,
    waitSeconds: 60,
    tone: "bad",
    last: ({ talk }) => `it was told what to boot (${talk?.file}), and never asked for it`,
    meaning: () =>
      "the server that gives the addresses did not answer it, or named a boot file itself; UEFI takes ours only after an address",
    advice: () => [
      "Check that the other DHCP server gives this machine an address, and names no boot file (options 66 and 67).",
      "Let the machine reach this site's ProxyDHCP and TFTP: udp, the ports dhcp.proxyPort and tftp.port of drp.yaml.",
    ],
  },
  {
    name: "not-answered",
    fits: ({ talk }) => talk !== undefined && talk.silence !== null,
    waitSeconds: 0,
    tone: "bad",
    last: ({ talk }) => `it asked ${times(talk)}, and got no answer: ${talk?.silence}`,
    meaning: () => "we heard it and stayed silent by decision; the reason is above",
    advice: ({ talk }) => adviceOnNothing(talk),
  },
  {
    name: "only-files",
    fits: () => true,
    waitSeconds: 60,
    tone: "quiet",
    last: () => "it asked for no address here",
    meaning: () => "it was started before this site listened, or another server gave it its address",
  },
];
