/**
 * Finds out whether somebody uses an address before it is offered. Node has no raw sockets for ARP or ICMP echo, so the kernel
 * is made to ask: a datagram to the address has it resolve the neighbour (ARP) on our own wire, where an answer appears in
 * its table; and whoever has the address, also behind a relay, refuses the port (ICMP port unreachable). What it means for
 * the lease is decided elsewhere.
 */
import { createSocket } from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";
import { formatIpv4, type Ipv4 } from "../../core/ipv4.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { Neighbours } from "../neighbours.ts";
import { forgetNeighbour, neighbourTableSize, readNeighbours } from "./neighbour-table.ts";

export type ProbeOutcome =
  | { readonly kind: "free" }
  /** @member mac null behind a relay */
  | { readonly kind: "taken"; readonly mac: MacAddress | null };

export interface ProbeQuestion {
  readonly address: Ipv4;
  /** Whose answer is no conflict: a machine may still use what its last system was given. */
  readonly client: MacAddress | null;
  /** Ours, from which it is asked. */
  readonly from: Ipv4;
}

/** A wire answers within milliseconds; a client waits four seconds for its offer and is to get it in the first. */
const ANSWER_WITHIN_MS = 400;
const LOOK_EVERY_MS = 40;
const GIVEN_UP_AFTER_MS = 1000;
/** The discard service (RFC 863): nobody minds, and next to nobody has it. */
const DISCARD_PORT = 9;
const MAX_PROBES = 128;
/** The table is shared with everything else on the host. */
const SHARE_OF_TABLE = 0.25;
/** An address that nobody has stays in the table while the kernel asks three times, a second apart. */
const ENTRY_STAYS_MS = 3000;

export class ConflictProber {
  private readonly maxEntries = Math.min(MAX_PROBES, Math.floor(neighbourTableSize() * SHARE_OF_TABLE));
  private entries = 0;
  private reading: Promise<Neighbours> | undefined;

  /** Too many probes at once would fill the kernel's table: then nothing is asked. */
  get isBusy(): boolean {
    return this.entries >= this.maxEntries;
  }

  /** Never rejects, and ends within a second whatever holds the kernel's answers up: a client waits. */
  async probe(question: ProbeQuestion): Promise<ProbeOutcome> {
    const nobody: ProbeOutcome = { kind: "free" };
    return await Promise.race([this.ask(question), sleep(GIVEN_UP_AFTER_MS, nobody, { ref: false })]);
  }

  private async ask(question: ProbeQuestion): Promise<ProbeOutcome> {
    this.entries++;
    setTimeout(() => this.entries--, ENTRY_STAYS_MS).unref();
    // What the table held before may be hours old: only an entry that comes now is an answer.
    let before = (await this.read()).get(question.address);
    if (before !== undefined && before === question.client) return { kind: "free" };
    if (before !== undefined) {
      await forgetNeighbour(question.address);
      before = (await this.read()).get(question.address);
    }
    const port = askPort(question);
    try {
      const until = performance.now() + ANSWER_WITHIN_MS;
      for (;;) {
        const refused = await Promise.race([port.refused, sleep(LOOK_EVERY_MS, false)]);
        const mac = (await this.read()).get(question.address);
        if (mac !== undefined && mac === question.client) return { kind: "free" };
        if (refused) return { kind: "taken", mac: mac ?? null };
        if (mac !== undefined && before === undefined) return { kind: "taken", mac };
        if (performance.now() >= until) return { kind: "free" };
      }
    } finally {
      port.close();
    }
  }

  /** All probes of a moment share a look; one that began before a question is none for it. */
  private async read(): Promise<Neighbours> {
    await this.reading;
    this.reading ??= readNeighbours().finally(() => {
      this.reading = undefined;
    });
    return await this.reading;
  }
}

/** Resolves to true when the port is refused; a network that is not there is no answer, and no error either. */
function askPort({ address, from }: ProbeQuestion): {
  readonly refused: Promise<boolean>;
  close(): void;
} {
  const socket = createSocket("udp4");
  const refused = new Promise<boolean>(resolve => {
    socket.on("error", error => {
      if ("code" in error && error.code === "ECONNREFUSED") resolve(true);
    });
  });
  let open = true;
  socket.bind(0, formatIpv4(from), () => {
    if (!open) return;
    socket.connect(DISCARD_PORT, formatIpv4(address), (error?: Error) => {
      if (error === undefined && open) socket.send("", () => {});
    });
  });
  return {
    refused,
    close: () => {
      open = false;
      socket.close();
    },
  };
}
