/**
 * One service on each of its interfaces: open where the interface is there, waiting for the others, each able to fail alone.
 * What the service says and does is not known here.
 */
import { DrpError } from "../../core/errors.ts";
import { formatIpv4, type Ipv4 } from "../../core/ipv4.ts";
import type { ServedInterface } from "../../dhcp/io/dhcp-sockets.ts";
import type { BootService, ServiceState } from "../boot-process-messages.ts";
import { carryError } from "../carried-error.ts";

export interface Closable {
  close(): Promise<void>;
}

type Listener =
  | { readonly kind: "open"; readonly address: Ipv4; readonly closable: Closable }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "waiting"; readonly reason: string };

export class ServiceOnInterfaces {
  readonly service: BootService;
  private readonly port: number;
  private readonly openOn: (on: ServedInterface) => Promise<Closable>;
  private readonly listeners = new Map<ServedInterface, Listener>();
  private failure: unknown;

  constructor(service: BootService, port: number, openOn: (on: ServedInterface) => Promise<Closable>) {
    this.service = service;
    this.port = port;
    this.openOn = openOn;
  }

  /** The whole service cannot be had, on no interface. */
  fail(error: unknown): void {
    this.failure = error;
  }

  /** Never rejects: a failure is told by `state`. @param address that the interface has now */
  async open(on: ServedInterface, address: Ipv4): Promise<void> {
    if (this.failure !== undefined) return;
    try {
      const closable = await this.openOn({ ...on, address });
      this.listeners.set(on, { kind: "open", address, closable });
    } catch (error) {
      this.listeners.set(on, { kind: "failed", error });
    }
  }

  hasFailedOn(on: ServedInterface): boolean {
    return this.failure === undefined && this.listeners.get(on)?.kind === "failed";
  }

  /** @param reason why the interface is not there */
  async waitFor(on: ServedInterface, reason: string): Promise<void> {
    const listener = this.listeners.get(on);
    this.listeners.set(on, { kind: "waiting", reason });
    if (listener?.kind === "open") await listener.closable.close();
  }

  async close(): Promise<void> {
    const open = [...this.listeners.values()].filter(listener => listener.kind === "open");
    this.listeners.clear();
    await Promise.all(open.map(({ closable }) => closable.close()));
  }

  /** @param notes what a person should know beside where it listens */
  state(notes: readonly string[]): ServiceState {
    const { service } = this;
    if (this.failure !== undefined) return { service, state: "off", error: carryError(this.failure) };
    const listeners = [...this.listeners];
    const open = listeners.map(([, listener]) => listener).filter(listener => listener.kind === "open");
    if (open.length > 0) {
      const where = open.map(({ address }) => `${formatIpv4(address)}:${this.port}/udp`).join(", ");
      const lacking = listeners.flatMap(([on, listener]) => whyNotOpen(on, listener) ?? []);
      return { service, state: "on", detail: [where, ...lacking, ...notes].join("; ") };
    }
    const failed = listeners.map(([, listener]) => listener).find(listener => listener.kind === "failed");
    const error = failed === undefined ? nothingToServe(service, listeners) : failed.error;
    return { service, state: "off", error: carryError(error) };
  }
}

function whyNotOpen(on: ServedInterface, listener: Listener): string | undefined {
  switch (listener.kind) {
    case "open":
      return undefined;
    case "waiting":
      return `waits for ${on.name}: ${listener.reason}`;
    case "failed": {
      const { message, advice } = carryError(listener.error);
      return `not on ${on.name}: ${message}${advice === null ? "" : `; ${advice}`}`;
    }
  }
}

function nothingToServe(
  service: BootService,
  listeners: readonly (readonly [ServedInterface, Listener])[],
): DrpError {
  const reasons = listeners.flatMap(([on, listener]) => whyNotOpen(on, listener) ?? []);
  return new DrpError("config.invalid", `${service} has no interface to serve: ${reasons.join("; ")}`, {
    advice:
      'Bring the interface up and give it the address ("ip link", "ip addr"): drp goes on by itself. Or name others in dhcp.interfaces.',
  });
}
