/**
 * What the parent and the boot process (DHCP, ProxyDHCP and TFTP) say to each other over Node's IPC channel. Both are the
 * same executable, so the messages are typed and not validated; structured clone carries them.
 */
import type { ErrorCode } from "../core/errors.ts";
import type { Ipv4 } from "../core/ipv4.ts";
import type { MacAddress } from "../core/mac.ts";
import type { BootEvent } from "../dhcp/boot-event.ts";
import type { ClientClass } from "../dhcp/client-class.ts";
import type { Lease } from "../dhcp/lease-change.ts";
import type { LeaseHistoryEntry, LeaseHistoryQuery } from "../dhcp/lease-history.ts";
import type { Subnet } from "../dhcp/subnet.ts";
import type { BootAnswer, LoaderChoice, LoaderFiles } from "./decide.ts";

export type { LoaderChoice } from "./decide.ts";

/** What may change while the process runs. */
export interface BootSettings {
  readonly subnets: readonly Subnet[];
  readonly classes: readonly ClientClass[];
  /** Of the boot HTTP server; its address is the one at which a client reached us. */
  readonly bootPort: number;
  readonly loaders: LoaderFiles;
  readonly loader: LoaderChoice;
  /** TFTP name → file. `autoexec.ipxe` and `grub/grub.cfg` are always there. */
  readonly tftpFiles: ReadonlyMap<string, string>;
  readonly bootAnswers: ReadonlyMap<MacAddress, BootAnswer>;
  /** For machines that are not among `bootAnswers`. */
  readonly unknown: BootAnswer;
}

/** "server": we own the addresses. "proxy": another server does, and we add what to boot. "off": neither. */
export type DhcpMode = "server" | "proxy" | "off";

export interface BootProcessConfig {
  readonly mode: DhcpMode;
  /** 0.0.0.0 where the interface had no address when we started: whichever it gets. */
  readonly interfaces: readonly { readonly name: string; readonly address: Ipv4 }[];
  readonly ports: { readonly dhcp: number; readonly proxyDhcp: number; readonly tftp: number };
  readonly leaseJournal: string;
  readonly settings: BootSettings;
}

export type BootService = "dhcp" | "proxy-dhcp" | "tftp";

/** A DrpError, or what is left of it after the journey. */
export interface CarriedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly advice: string | null;
}

export type ServiceState =
  | { readonly service: BootService; readonly state: "on"; readonly detail: string }
  | { readonly service: BootService; readonly state: "off"; readonly error: CarriedError };

/** Whose GRUB script is asked for. */
export interface ScriptQuestion {
  /** Null: no lease and no neighbour tells whose address it is. */
  readonly mac: MacAddress | null;
  readonly remoteAddress: string;
  /** Ours, at which the machine asked. */
  readonly localAddress: string;
}

/** Questions of the parent and their answers, by kind. */
export interface ParentQuestions {
  /** Whose address it is, by its lease, or by the neighbour table where another server gives the addresses. */
  readonly "mac-of": { readonly ask: { readonly remoteAddress: string }; readonly answer: MacAddress | null };
  readonly "list-leases": { readonly ask: null; readonly answer: readonly Lease[] };
  readonly "lease-history": {
    readonly ask: LeaseHistoryQuery;
    readonly answer: readonly LeaseHistoryEntry[];
  };
  /** Null: nobody holds the address. */
  readonly "release-lease": { readonly ask: { readonly address: Ipv4 }; readonly answer: Lease | null };
}

export type ParentQuestion = keyof ParentQuestions;

export type ToBootProcess =
  | { readonly kind: "start"; readonly config: BootProcessConfig }
  | { readonly kind: "configure"; readonly settings: BootSettings }
  /** Boot HTTP, which is the parent's, has sent a machine a loader: what it says next tells whether it started. */
  | { readonly kind: "loader-sent"; readonly mac: MacAddress; readonly file: string }
  | {
      [Q in ParentQuestion]: {
        readonly kind: "question";
        readonly id: number;
        readonly question: Q;
        readonly ask: ParentQuestions[Q]["ask"];
      };
    }[ParentQuestion]
  /** The answer to "ask-script". */
  | { readonly kind: "script"; readonly id: number; readonly text: string };

export type FromBootProcess =
  /** Every service, once after "start" and again whenever one of them changes. */
  | { readonly kind: "services"; readonly services: readonly ServiceState[] }
  /** Null where the packet did not say whose it is. */
  | { readonly kind: "event"; readonly mac: MacAddress | null; readonly event: BootEvent }
  | { readonly kind: "answer"; readonly id: number; readonly answer: unknown }
  | { readonly kind: "failure"; readonly id: number; readonly error: CarriedError }
  | { readonly kind: "ask-script"; readonly id: number; readonly question: ScriptQuestion };
