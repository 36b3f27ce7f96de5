/**
 * Carries out what is decided about each DHCP message: probes, makes leases durable, sends, tells of it. One for all
 * interfaces, because they share the leases. Decides nothing itself.
 */
import { DecodeError, describeErrorChain } from "../../core/errors.ts";
import { formatIpv4, parseIpv4 } from "../../core/ipv4.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { Clock } from "../../core/time.ts";
import type { EventSink } from "../boot-event.ts";
import { clientKeyOf, macOfClient } from "../client-key.ts";
import { type DhcpReply, type DhcpSilence, type DhcpState, decideDhcp, type ReceivedOn } from "../decide.ts";
import { describeConflict, describeDecision, describePoolEmpty, eventKindOf } from "../describe.ts";
import { conflictAt, type DurableChange, isDurable } from "../lease-change.ts";
import type { LeaseIndex } from "../leases.ts";
import { BOOT_REPLY, type DhcpMessage, decodePacket, encodePacket } from "../packet.ts";
import { chooseDestination } from "../transmit.ts";
import type { ConflictProber, ProbeOutcome } from "./conflict-prober.ts";
import type { DhcpSockets, Sender } from "./dhcp-sockets.ts";
import type { LeaseJournal } from "./lease-journal.ts";
import type { OtherServerWatch } from "./other-server-watch.ts";

export interface ExchangeOptions {
  /** Asked for each message, so that a new configuration takes effect with the next one. */
  readonly state: () => DhcpState;
  readonly journal: LeaseJournal;
  readonly clock: Clock;
  readonly onEvent: EventSink;
  readonly prober: ConflictProber;
  readonly otherServers: OtherServerWatch;
}

/** Where a message came in, and its answer goes out. */
export interface Door {
  readonly receivedOn: ReceivedOn;
  readonly sockets: DhcpSockets;
}

/** Clients that wait for a slow disk retry; beyond this many, memory is worth more than one more promise. */
const MAX_WAITING_ACKS = 10_000;
/** Each takes 0.4 s, and a client waits four: so many strangers' addresses in a row are a network to be looked at. */
const MAX_CONFLICTS = 3;
const POOL_EMPTY_TOLD_EVERY_MS = 300_000;

/** What a message's way through here is made of. */
interface Passage {
  readonly message: DhcpMessage;
  readonly mac: MacAddress | null;
  readonly door: Door;
  /** Addresses that turned out to be somebody's. */
  readonly conflicts: number;
}

export class DhcpExchange {
  private readonly options: ExchangeOptions;
  private waitingAcks = 0;
  private readonly poolEmptyToldAt = new Map<string, number>();

  constructor(options: ExchangeOptions) {
    this.options = options;
  }

  receive(bytes: Uint8Array, from: Sender, door: Door): void {
    let message: DhcpMessage;
    try {
      message = decodePacket(bytes);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.options.onEvent(null, "dhcp.malformed", () => ({
        kind: "dhcp.malformed",
        summary: `not a DHCP message: ${error.message}`,
        facts: { sizeBytes: bytes.length, from: from.address, interface: door.receivedOn.interfaceName },
      }));
      return;
    }
    if (this.options.otherServers.isOwnSearch(message)) return;
    if (message.op === BOOT_REPLY) {
      this.options.otherServers.hear(message, parseIpv4(from.address), door.receivedOn);
      return;
    }
    this.answer({ message, mac: macOfClient(clientKeyOf(message)), door, conflicts: 0 });
  }

  reportFailure(mac: MacAddress | null, error: unknown, interfaceName: string): void {
    this.options.onEvent(mac, "dhcp.failed", () => ({
      kind: "dhcp.failed",
      summary: `no answer was sent: ${describeErrorChain(error)}`,
      facts: { interface: interfaceName },
    }));
  }

  /** The change counts from now on, so that nobody else is given the address; the reply waits for probe and disk. */
  private answer(passage: Passage): void {
    const { message, door } = passage;
    const decision = decideDhcp(message, door.receivedOn, this.options.state(), this.options.clock());
    const { change } = decision;
    if (change !== null && isDurable(change)) {
      void this.makeDurable(change, passage).then(isKept => {
        if (isKept) this.finish(passage, decision);
      });
      return;
    }
    if (change !== null) this.options.state().leases.apply(change);
    if (decision.kind !== "reply" || decision.probe === null) this.finish(passage, decision);
    else if (this.options.prober.isBusy) this.finish(passage, decision, "no: too many at once");
    else void this.probeFirst(passage, decision);
  }

  private finish(passage: Passage, decision: DhcpReply | DhcpSilence, probed?: string): void {
    const { message, mac, door } = passage;
    if (decision.kind === "reply") this.send(decision, passage);
    this.options.onEvent(mac, eventKindOf(decision), () =>
      describeDecision(message, door.receivedOn, decision, probed),
    );
    if (decision.kind === "silent" && decision.notice !== null) this.tell(decision, passage);
    if (decision.change?.kind === "decline") {
      const { change } = decision;
      this.options.onEvent(mac, "dhcp.conflict", () =>
        describeConflict(change, door.receivedOn, "the client's DECLINE"),
      );
    }
  }

  private async probeFirst(passage: Passage, decision: DhcpReply): Promise<void> {
    const { change, probe } = decision;
    if (change?.kind !== "offer" || probe === null) return;
    const { mac, door } = passage;
    const { state, clock } = this.options;
    const outcome = await this.options.prober.probe({
      address: probe,
      client: mac,
      from: door.receivedOn.address,
    });
    if (outcome.kind === "taken") {
      await this.avoid(conflictAt(change, clock()), outcome, passage);
      return;
    }
    const { leases } = state();
    if (leases.holderOf(probe) !== change.client) {
      // New pools came meanwhile, in which no offer stands.
      this.answer(passage);
      return;
    }
    // A lease that came meanwhile (the client remembered one) is worth more than this offer.
    if (leases.liveLeaseAt(probe, clock()) === undefined) leases.apply({ ...change, probed: true });
    this.finish(passage, decision, "nobody is there");
  }

  /** Somebody uses the address: nobody gets it for a while, and the client is decided about again. */
  private async avoid(
    change: ReturnType<typeof conflictAt>,
    { mac: usedBy }: Extract<ProbeOutcome, { kind: "taken" }>,
    passage: Passage,
  ): Promise<void> {
    const { mac, door } = passage;
    const conflicts = passage.conflicts + 1;
    if (!(await this.makeDurable(change, passage))) return;
    const foundBy = usedBy === null ? "probe: it refused a packet" : `probe: ${usedBy} has it`;
    this.options.onEvent(mac, "dhcp.conflict", () => describeConflict(change, door.receivedOn, foundBy));
    if (conflicts < MAX_CONFLICTS) this.answer({ ...passage, conflicts });
    else {
      const error = new Error(`${conflicts} addresses in a row are in use; the client must ask again`);
      this.reportFailure(mac, error, door.receivedOn.interfaceName);
    }
  }

  /** @returns whether it is on disk; if not, it is taken back and told */
  private async makeDurable(change: DurableChange, { mac, door }: Passage): Promise<boolean> {
    const { interfaceName } = door.receivedOn;
    if (this.waitingAcks >= MAX_WAITING_ACKS) {
      const error = new Error("too many leases wait for a slow disk already; the client must ask again");
      this.reportFailure(mac, error, interfaceName);
      return false;
    }
    this.waitingAcks++;
    try {
      await applyDurably(change, this.options.state().leases, this.options.journal);
      return true;
    } catch (cause) {
      const what =
        "the lease could not be written: see to the disk of the data folder (full, read-only, failing)";
      this.reportFailure(mac, new Error(what, { cause }), interfaceName);
      return false;
    } finally {
      this.waitingAcks--;
    }
  }

  private send({ message, maxBytes }: DhcpReply, { mac, door }: Passage): void {
    const { address, port } = chooseDestination(message);
    door.sockets.send(encodePacket(message, maxBytes), port, address, error =>
      this.reportFailure(mac, error, door.receivedOn.interfaceName),
    );
  }

  private tell({ notice }: DhcpSilence, { mac, door, message }: Passage): void {
    if (notice?.kind === "other-server") {
      const relay = message.giaddr === 0 ? "" : ` behind relay ${formatIpv4(message.giaddr)}`;
      const how = `the client ${mac ?? "without a MAC address"}${relay} took its offer`;
      this.options.otherServers.note(notice.server, door.receivedOn, how);
    } else if (notice?.kind === "pool-empty") {
      const { network } = notice.figures;
      const now = this.options.clock();
      const toldAt = this.poolEmptyToldAt.get(network);
      if (toldAt !== undefined && now >= toldAt && now - toldAt < POOL_EMPTY_TOLD_EVERY_MS) return;
      this.poolEmptyToldAt.set(network, now);
      this.options.onEvent(null, "dhcp.pool-empty", () =>
        describePoolEmpty(notice.figures, door.receivedOn, now),
      );
    }
  }
}

/**
 * Applies a change at once and waits for the disk.
 *
 * @throws what the journal says; the change is then taken back
 */
export async function applyDurably(
  change: DurableChange,
  leases: LeaseIndex,
  journal: LeaseJournal,
): Promise<void> {
  const applied = leases.apply(change);
  try {
    await journal.append(change);
  } catch (error) {
    if (applied !== undefined) leases.revert(applied);
    throw error;
  }
}
