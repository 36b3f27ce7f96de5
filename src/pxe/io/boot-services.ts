/**
 * DHCP or ProxyDHCP, and TFTP, of one site in one process: each on every interface that is there, each able to fail alone.
 * Looks again and again which interfaces are there.
 */
import { DrpError } from "../../core/errors.ts";
import { formatIpv4, type Ipv4, parseIpv4, UNSPECIFIED } from "../../core/ipv4.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { Clock } from "../../core/time.ts";
import type { BootEvent, EventSink } from "../../dhcp/boot-event.ts";
import { macOfClient } from "../../dhcp/client-key.ts";
import { ConflictProber } from "../../dhcp/io/conflict-prober.ts";
import type { ServedInterface } from "../../dhcp/io/dhcp-sockets.ts";
import { LeaseBook } from "../../dhcp/io/lease-book.ts";
import { macOfNeighbour } from "../../dhcp/io/neighbour-table.ts";
import { OtherServerWatch } from "../../dhcp/io/other-server-watch.ts";
import { type BootEventListener, DhcpServer } from "../../dhcp/io/server.ts";
import { BootDesk } from "../boot-desk.ts";
import type {
  BootProcessConfig,
  BootSettings,
  ScriptQuestion,
  ServiceState,
} from "../boot-process-messages.ts";
import { EventLimiter } from "../event-limiter.ts";
import { type InterfaceChange, InterfaceWatch } from "./interface-watch.ts";
import { startProxyServer } from "./proxy-server.ts";
import { type Closable, ServiceOnInterfaces } from "./service-on-interfaces.ts";
import { startTftpServer } from "./tftp-server.ts";

export interface BootServicesOptions {
  readonly config: BootProcessConfig;
  readonly clock: Clock;
  /** Already limited per machine. */
  readonly onEvent: BootEventListener;
  /** The GRUB script of a machine; the parent decides it. */
  readonly scriptFor: (question: ScriptQuestion) => Promise<string>;
  /** Every service, once they are started and again whenever one of them changes. */
  readonly onServices: (services: readonly ServiceState[]) => void;
}

/** A cable that is moved or an interface that systemd makes anew is back within seconds; a look costs 0.1 ms. */
const LOOK_EVERY_MS = 2000;

export class BootServices {
  readonly book: LeaseBook;
  private readonly options: BootServicesOptions;
  private readonly desk: BootDesk;
  private readonly limiter = new EventLimiter();
  private readonly watch: InterfaceWatch;
  private readonly otherServers: OtherServerWatch;
  private readonly services: readonly ServiceOnInterfaces[];
  private settings: BootSettings;
  private timer: NodeJS.Timeout | undefined;
  private starting: Promise<void> = Promise.resolve();
  private changing: Promise<void> = Promise.resolve();
  private closed = false;
  private told = "";

  constructor(options: BootServicesOptions) {
    const { config, clock, scriptFor } = options;
    this.options = options;
    this.settings = config.settings;
    this.desk = new BootDesk(() => this.settings, scriptFor, clock);
    this.watch = new InterfaceWatch(config.interfaces);
    this.book = new LeaseBook(config.leaseJournal, clock);
    this.book.configure(this.settings.subnets, this.ownAddresses());
    const prober = new ConflictProber();
    this.otherServers = new OtherServerWatch({
      ownAddresses: () => this.ownAddresses(),
      prober,
      clock,
      onEvent: this.report,
      onChanged: () => this.tell(),
    });
    this.services = [this.dhcpService(prober), this.tftpService()];
  }

  async start(): Promise<void> {
    this.starting = this.openAll();
    await this.starting;
    this.tell();
    if (!this.closed) this.timer = setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  /**
   * Takes effect with the next packet; leases stay, and those outside the new subnets are forgotten. DHCP that was off at the
   * start stays off.
   */
  configure(settings: BootSettings): void {
    this.settings = settings;
    this.book.configure(settings.subnets, this.ownAddresses());
  }

  /**
   * By its lease while that runs; where another server gives the addresses, by the kernel's neighbour table. An address that was
   * only offered, or turned out to be somebody else's (probe, DECLINE), is not its client's: boot tokens go by this.
   */
  macOf(remoteAddress: string): MacAddress | null {
    const address = parseIpv4(remoteAddress);
    if (address === undefined) return null;
    if (this.options.config.mode !== "server") return macOfNeighbour(address);
    const client = this.book.leases.liveLeaseAt(address, this.options.clock())?.client;
    return macOfClient(client);
  }

  /** A machine has received all of a file. */
  hearFetched(mac: MacAddress, file: string): void {
    this.desk.hearFetched(mac, file);
  }

  /** Also in the middle of start(): what that opens later would be held for ever by a process whose parent has gone. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.timer);
    await this.starting;
    await this.changing;
    await Promise.all(this.services.map(service => service.close()));
    await this.book.close();
  }

  private dhcpService(prober: ConflictProber): ServiceOnInterfaces {
    const { config, clock } = this.options;
    const { ports, interfaces } = config;
    const alone = interfaces.length === 1;
    if (config.mode === "proxy") {
      const state = { bootFieldsFor: this.desk.bootFieldsFor.bind(this.desk) };
      const { report } = this;
      return new ServiceOnInterfaces("proxy-dhcp", ports.dhcp, on =>
        startProxyServer({ on, alone, ports, state, onEvent: report }),
      );
    }
    let server: DhcpServer | undefined;
    return new ServiceOnInterfaces("dhcp", ports.dhcp, async on => {
      server ??= new DhcpServer({
        port: ports.dhcp,
        alone,
        prober,
        clock,
        journal: this.book.journal,
        otherServers: this.otherServers,
        state: () => ({
          leases: this.book.leases,
          classes: this.settings.classes,
          bootFieldsFor: this.bootFieldsFor,
        }),
        onEvent: this.report,
      });
      return await server.open(on);
    });
  }

  private readonly bootFieldsFor: BootDesk["bootFieldsFor"] = (...question) =>
    this.desk.bootFieldsFor(...question);

  private tftpService(): ServiceOnInterfaces {
    const { config } = this.options;
    return new ServiceOnInterfaces("tftp", config.ports.tftp, async ({ address }): Promise<Closable> => {
      const localAddress = formatIpv4(address);
      return await startTftpServer({
        address: localAddress,
        port: config.ports.tftp,
        findFile: (name, remoteAddress) =>
          this.desk.findTftpFile(name, { mac: this.macOf(remoteAddress), remoteAddress, localAddress }),
        onEvent: (remoteAddress, event) => this.hearTransfer(this.macOf(remoteAddress), event),
      });
    });
  }

  private hearTransfer(mac: MacAddress | null, event: BootEvent): void {
    if (mac !== null && event.kind === "tftp.done") this.desk.hearFetched(mac, String(event.facts.file));
    this.report(mac, event.kind, () => event);
  }

  private async openAll(): Promise<void> {
    const [dhcp] = this.services;
    const { mode } = this.options.config;
    if (mode !== "proxy") {
      try {
        if (mode === "off" || this.settings.subnets.length === 0) throw noSubnets();
        await this.book.open();
      } catch (error) {
        dhcp?.fail(error);
      }
    }
    for (const on of this.watch.interfaces) {
      const state = this.watch.stateOf(on);
      if (state.kind === "there" || mode === "off") await this.openOn(on);
      else await this.lose({ on, kind: "lost", reason: state.reason });
    }
  }

  private look(): void {
    // Without DHCP there is an address to serve and no interface to wait for.
    const changes = this.options.config.mode === "off" ? [] : this.watch.look();
    this.changing = this.changing.then(async () => {
      if (changes.length === 0) {
        await this.openWhatFailed();
        // A second server that has not been heard of for long is no longer named.
        this.tell();
        return;
      }
      this.book.configure(this.settings.subnets, this.ownAddresses());
      for (const change of changes) {
        if (change.kind !== "back") await this.lose(change);
        if (change.kind !== "lost") await this.takeBack(change);
      }
      this.tell();
    });
  }

  /** Who had the port may have stopped, as its error told a person to see to. */
  private async openWhatFailed(): Promise<void> {
    for (const on of this.watch.interfaces) {
      // Gone since: the next change says so.
      if (this.addressOf(on) === UNSPECIFIED) continue;
      const failed = this.services.filter(service => service.hasFailedOn(on));
      await Promise.all(failed.map(service => service.open(on, this.addressOf(on))));
    }
  }

  private async lose({ on, reason }: InterfaceChange): Promise<void> {
    this.report(null, "dhcp.interface-lost", () => ({
      kind: "dhcp.interface-lost",
      summary: `${on.name} is not served: ${reason}. The other interfaces are; this one is again once it is back`,
      facts: { interface: on.name, reason },
    }));
    for (const service of this.services) await service.waitFor(on, reason);
  }

  private async takeBack({ on, reason }: InterfaceChange): Promise<void> {
    // Gone again while its sockets were being closed: the next change says so.
    if (this.watch.stateOf(on).kind !== "there") return;
    await this.openOn(on);
    const states = this.services.map(service => service.state([]));
    this.report(null, "dhcp.interface-back", () => ({
      kind: "dhcp.interface-back",
      summary: `${on.name} is served again: ${reason}`,
      facts: {
        interface: on.name,
        services: states
          .filter(({ state }) => state === "on")
          .map(({ service }) => service)
          .join(", "),
      },
    }));
  }

  private async openOn(on: ServedInterface): Promise<void> {
    await Promise.all(this.services.map(service => service.open(on, this.addressOf(on))));
  }

  /** 0.0.0.0 where it has none. */
  private addressOf(on: ServedInterface): Ipv4 {
    const state = this.watch.stateOf(on);
    return state.kind === "there" ? state.address : on.address;
  }

  private ownAddresses(): Ipv4[] {
    return this.watch.interfaces.flatMap(on => {
      const address = this.addressOf(on);
      return address === UNSPECIFIED ? [] : [address];
    });
  }

  /** Says how the services are, where that has changed. */
  private tell(): void {
    const notes = this.otherServers.notes();
    const states = this.services.map(service => service.state(service.service === "dhcp" ? notes : []));
    const text = JSON.stringify(states);
    if (text === this.told) return;
    this.told = text;
    this.options.onServices(states);
  }

  private readonly report: EventSink = (mac: MacAddress | null, kind: string, describe: () => BootEvent) => {
    const event = this.limiter.admitKind(mac ?? "strangers", kind, describe, this.options.clock());
    if (event !== undefined) this.options.onEvent(mac, event);
  };
}

function noSubnets(): DrpError {
  return new DrpError("config.invalid", "no subnet to give addresses from", {
    advice: "Add dhcp.subnets to drp.yaml (docs/config.md).",
  });
}
