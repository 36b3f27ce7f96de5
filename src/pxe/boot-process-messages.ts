/**
 * What the parent and the boot process (DHCP and TFTP) say to each other over Node's IPC channel. Both are the same
 * executable, so the messages are typed and not validated; structured clone carries them.
 */
import type { ErrorCode } from "../core/errors.ts";
import type { Ipv4 } from "../core/ipv4.ts";
import type { MacAddress } from "../core/mac.ts";
import type { BootEvent } from "../dhcp/boot-event.ts";
import type { Lease } from "../dhcp/leases.ts";
import type { Subnet } from "../dhcp/subnet.ts";
import type { BootAnswer, LoaderFiles } from "./decide.ts";

/** What may change while the process runs. */
export interface BootSettings {
  readonly subnets: readonly Subnet[];
  /** Of the boot HTTP server, without a slash at the end: "http://10.0.0.1:8091". */
  readonly bootUrl: string;
  readonly loaders: LoaderFiles;
  /** TFTP name → file. `autoexec.ipxe` is always there. */
  readonly tftpFiles: ReadonlyMap<string, string>;
  readonly bootAnswers: ReadonlyMap<MacAddress, BootAnswer>;
  /** For machines that are not among `bootAnswers`. */
  readonly unknown: BootAnswer;
}

export interface BootProcessConfig {
  readonly interfaces: readonly { readonly name: string; readonly address: Ipv4 }[];
  readonly tftpPort: number;
  readonly leaseJournal: string;
  readonly settings: BootSettings;
}

export type BootService = "dhcp" | "tftp";

/** A DrpError, or what is left of it after the journey. */
export interface CarriedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly advice: string | null;
}

export type ServiceState =
  | { readonly service: BootService; readonly state: "on"; readonly detail: string }
  | { readonly service: BootService; readonly state: "off"; readonly error: CarriedError };

export type ToBootProcess =
  | { readonly kind: "start"; readonly config: BootProcessConfig }
  | { readonly kind: "configure"; readonly settings: BootSettings }
  | { readonly kind: "list-leases"; readonly question: number };

export type FromBootProcess =
  /** Both services, once, after "start". */
  | { readonly kind: "started"; readonly services: readonly ServiceState[] }
  /** Null where the packet did not say whose it is. */
  | { readonly kind: "event"; readonly mac: MacAddress | null; readonly event: BootEvent }
  | { readonly kind: "leases"; readonly question: number; readonly leases: readonly Lease[] };
