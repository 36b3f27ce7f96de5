/** Which of the named interfaces are there, looked at again and again: Node hears nothing of netlink. Opens no socket. */
import { formatIpv4 } from "../../core/ipv4.ts";
import type { ServedInterface } from "../../dhcp/io/dhcp-sockets.ts";
import { type InterfaceState, readInterface } from "../../dhcp/io/interface-state.ts";

export interface InterfaceChange {
  readonly on: ServedInterface;
  /** "replaced": it is another interface, or has another address; the sockets of before are deaf. */
  readonly kind: "lost" | "back" | "replaced";
  /** One clause for people. */
  readonly reason: string;
}

export class InterfaceWatch {
  readonly interfaces: readonly ServedInterface[];
  private readonly states = new Map<ServedInterface, InterfaceState>();

  constructor(interfaces: readonly ServedInterface[]) {
    this.interfaces = interfaces;
    for (const on of interfaces) this.states.set(on, readInterface(on));
  }

  stateOf(on: ServedInterface): InterfaceState {
    return (
      this.states.get(on) ?? { kind: "missing", reason: `${on.name} is not among the served interfaces` }
    );
  }

  /** Looks again; costs some 50 µs an interface. */
  look(): InterfaceChange[] {
    return this.interfaces.flatMap(on => {
      const now = readInterface(on);
      const change = changeBetween(this.stateOf(on), now);
      this.states.set(on, now);
      return change === undefined ? [] : [{ on, ...change }];
    });
  }
}

function changeBetween(
  before: InterfaceState,
  now: InterfaceState,
): Pick<InterfaceChange, "kind" | "reason"> | undefined {
  if (now.kind === "missing") {
    return before.kind === "there" ? { kind: "lost", reason: now.reason } : undefined;
  }
  if (before.kind === "missing") return { kind: "back", reason: "it is there again, with its address" };
  if (before.index !== now.index) {
    return { kind: "replaced", reason: `another interface has taken its name (number ${now.index})` };
  }
  if (before.address === now.address) return undefined;
  return { kind: "replaced", reason: `its address is ${formatIpv4(now.address)} now` };
}
