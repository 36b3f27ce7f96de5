/** DHCP and TFTP of one site in one process: started together, each able to fail alone. */
import { isDeepStrictEqual } from "node:util";
import { DrpError } from "../../core/errors.ts";
import { formatIpv4, type Ipv4, parseIpv4 } from "../../core/ipv4.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { Clock } from "../../core/time.ts";
import type { BootEvent } from "../../dhcp/boot-event.ts";
import { type ClientKey, isMac } from "../../dhcp/client-key.ts";
import type { DhcpState } from "../../dhcp/decide.ts";
import { openLeaseJournal } from "../../dhcp/io/lease-journal.ts";
import { type BootEventListener, startDhcpServer } from "../../dhcp/io/server.ts";
import type { LeaseHistoryEntry, LeaseHistoryQuery } from "../../dhcp/lease-history.ts";
import type { Lease, LeaseChange } from "../../dhcp/lease-change.ts";
import { LeaseIndex } from "../../dhcp/leases.ts";
import { BootDesk } from "../boot-desk.ts";
import type {
  BootProcessConfig,
  BootService,
  BootSettings,
  ScriptQuestion,
  ServiceState,
} from "../boot-process-messages.ts";
import { carryError } from "../carried-error.ts";
import { EventLimiter } from "../event-limiter.ts";
import { startTftpServer } from "./tftp-server.ts";

interface Closable {
  close(): Promise<void>;
}

export class BootServices {
  private readonly config: BootProcessConfig;
  private readonly clock: Clock;
  private readonly onEvent: BootEventListener;
  private readonly limiter = new EventLimiter();
  private readonly ownAddresses: readonly Ipv4[];
  private readonly running: Closable[] = [];
  private readonly desk: BootDesk;
  private settings: BootSettings;
  private dhcp: DhcpState;

  /** @param scriptFor the GRUB script of a machine; the parent decides it */
  constructor(
    config: BootProcessConfig,
    clock: Clock,
    onEvent: BootEventListener,
    scriptFor: (question: ScriptQuestion) => Promise<string>,
  ) {
    this.config = config;
    this.clock = clock;
    this.onEvent = onEvent;
    this.desk = new BootDesk(() => this.settings, scriptFor);
    this.ownAddresses = config.interfaces.map(({ address }) => address);
    this.settings = config.settings;
    this.dhcp = this.dhcpState([]);
  }

  async start(): Promise<ServiceState[]> {
    const addresses = this.ownAddresses.map(formatIpv4).join(", ");
    return await Promise.all([
      this.startService("dhcp", `${addresses}:${this.config.ports.dhcp}/udp`, () => this.startDhcp()),
      this.startService("tftp", `${addresses}:${this.config.ports.tftp}/udp`, () => this.startTftp()),
    ]);
  }

  /**
   * Takes effect with the next packet; leases stay, and those outside the new subnets are forgotten. DHCP that was off at the
   * start stays off.
   */
  configure(settings: BootSettings): void {
    const sameSubnets = isDeepStrictEqual(settings.subnets, this.settings.subnets);
    this.settings = settings;
    if (sameSubnets) this.dhcp = { ...this.dhcp, classes: settings.classes };
    else this.dhcp = this.dhcpState(this.dhcp.leases.durableChanges());
  }

  liveLeases(): Lease[] {
    return this.dhcp.leases.liveLeases(this.clock());
  }

  async leaseHistory(_query: LeaseHistoryQuery): Promise<readonly LeaseHistoryEntry[]> {
    throw new DrpError("internal", "lease history is not kept yet");
  }

  async releaseLease(_address: Ipv4): Promise<Lease | null> {
    throw new DrpError("internal", "leases cannot be released yet");
  }

  async close(): Promise<void> {
    for (const service of this.running.toReversed()) await service.close();
  }

  private async startService(
    service: BootService,
    detail: string,
    start: () => Promise<void>,
  ): Promise<ServiceState> {
    try {
      await start();
      return { service, state: "on", detail };
    } catch (error) {
      return { service, state: "off", error: carryError(error) };
    }
  }

  private async startDhcp(): Promise<void> {
    if (this.settings.subnets.length === 0) {
      throw new DrpError("config.invalid", "no subnet to give addresses from", {
        advice: "Add dhcp.subnets to drp.yaml (docs/config.md).",
      });
    }
    const opened = await openLeaseJournal(this.config.leaseJournal);
    for (const change of opened.changes) this.dhcp.leases.apply(change);
    const journal = await opened.start(() => this.dhcp.leases.durableChanges());
    this.running.push(journal);
    this.running.push(
      await startDhcpServer({
        interfaces: this.config.interfaces,
        state: () => this.dhcp,
        journal,
        clock: this.clock,
        onEvent: (mac, event) => this.report(mac, event),
      }),
    );
  }

  private async startTftp(): Promise<void> {
    for (const { address } of this.config.interfaces) {
      const server = await startTftpServer({
        address: formatIpv4(address),
        port: this.config.ports.tftp,
        findFile: (name, remoteAddress) =>
          this.desk.findTftpFile(name, {
            mac: this.macOf(remoteAddress),
            remoteAddress,
            localAddress: formatIpv4(address),
          }),
        clock: this.clock,
        onEvent: (remoteAddress, event) => this.report(this.macOf(remoteAddress), event),
      });
      this.running.push(server);
    }
  }

  private dhcpState(changes: readonly LeaseChange[]): DhcpState {
    const leases = new LeaseIndex(this.settings.subnets, this.ownAddresses);
    for (const change of changes) leases.apply(change);
    return {
      leases,
      classes: this.settings.classes,
      bootFieldsFor: (message, client, receivedOn) => this.desk.bootFieldsFor(message, client, receivedOn),
    };
  }

  private macOf(remoteAddress: string): MacAddress | null {
    const address = parseIpv4(remoteAddress);
    const holder: ClientKey | undefined =
      address === undefined ? undefined : this.dhcp.leases.holderOf(address);
    return holder !== undefined && isMac(holder) ? holder : null;
  }

  private report(mac: MacAddress | null, event: BootEvent): void {
    const admitted = this.limiter.admit(mac ?? "strangers", event, this.clock());
    if (admitted !== undefined) this.onEvent(mac, admitted);
  }
}
