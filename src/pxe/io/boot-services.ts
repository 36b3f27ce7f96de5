/** DHCP and TFTP of one site in one process: started together, each able to fail alone. */
import { isDeepStrictEqual } from "node:util";
import { DrpError, describeErrorChain } from "../../core/errors.ts";
import { formatIpv4, type Ipv4, parseIpv4 } from "../../core/ipv4.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { Clock } from "../../core/time.ts";
import type { BootEvent } from "../../dhcp/boot-event.ts";
import type { DhcpState } from "../../dhcp/decide.ts";
import { openLeaseJournal } from "../../dhcp/io/lease-journal.ts";
import { type BootEventListener, startDhcpServer } from "../../dhcp/io/server.ts";
import { type Lease, type LeaseChange, LeaseIndex } from "../../dhcp/leases.ts";
import { SERVER_PORT } from "../../dhcp/transmit.ts";
import type {
  BootProcessConfig,
  BootService,
  BootSettings,
  CarriedError,
  ServiceState,
} from "../boot-process-messages.ts";
import { bootFields, decideBootFile } from "../decide.ts";
import { EventLimiter } from "../event-limiter.ts";
import { identifyFirmware } from "../firmware.ts";
import { renderAutoexecScript } from "../scripts.ts";
import { startTftpServer, type TftpFile } from "./tftp-server.ts";

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
  private settings: BootSettings;
  private dhcp: DhcpState;

  constructor(config: BootProcessConfig, clock: Clock, onEvent: BootEventListener) {
    this.config = config;
    this.clock = clock;
    this.onEvent = onEvent;
    this.ownAddresses = config.interfaces.map(({ address }) => address);
    this.settings = config.settings;
    this.dhcp = this.dhcpState([]);
  }

  async start(): Promise<ServiceState[]> {
    const addresses = this.ownAddresses.map(formatIpv4).join(", ");
    return await Promise.all([
      this.startService("dhcp", `${addresses}:${SERVER_PORT}/udp`, () => this.startDhcp()),
      this.startService("tftp", `${addresses}:${this.config.tftpPort}/udp`, () => this.startTftp()),
    ]);
  }

  /**
   * Takes effect with the next packet; leases stay, and those outside the new subnets are forgotten. DHCP that was off at the
   * start stays off.
   */
  configure(settings: BootSettings): void {
    const sameSubnets = isDeepStrictEqual(settings.subnets, this.settings.subnets);
    this.settings = settings;
    if (!sameSubnets) this.dhcp = this.dhcpState(this.dhcp.leases.durableChanges());
  }

  liveLeases(): Lease[] {
    return this.dhcp.leases.liveLeases(this.clock());
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
      return { service, state: "off", error: carried(error) };
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
        port: this.config.tftpPort,
        findFile: name => this.findTftpFile(name),
        clock: this.clock,
        onEvent: (remoteAddress, event) => this.report(this.holderOf(remoteAddress), event),
      });
      this.running.push(server);
    }
  }

  private dhcpState(changes: readonly LeaseChange[]): DhcpState {
    const leases = new LeaseIndex(this.settings.subnets, this.ownAddresses);
    for (const change of changes) leases.apply(change);
    return {
      leases,
      bootFieldsFor: (message, mac) => {
        const { bootUrl, loaders, bootAnswers, unknown } = this.settings;
        const answer = bootAnswers.get(mac) ?? unknown;
        return bootFields(
          decideBootFile(identifyFirmware(message.options), { mac, answer, bootUrl, loaders }),
        );
      },
    };
  }

  private findTftpFile(name: string): TftpFile | undefined {
    if (name === "autoexec.ipxe") {
      return { kind: "content", bytes: Buffer.from(renderAutoexecScript(this.settings.bootUrl)) };
    }
    const path = this.settings.tftpFiles.get(name);
    return path === undefined ? undefined : { kind: "file", path };
  }

  private holderOf(remoteAddress: string): MacAddress | null {
    const address = parseIpv4(remoteAddress);
    return (address === undefined ? undefined : this.dhcp.leases.holderOf(address)) ?? null;
  }

  private report(mac: MacAddress | null, event: BootEvent): void {
    const admitted = this.limiter.admit(mac ?? "strangers", event, this.clock());
    if (admitted !== undefined) this.onEvent(mac, admitted);
  }
}

function carried(error: unknown): CarriedError {
  if (error instanceof DrpError) {
    return { code: error.code, message: error.message, advice: error.advice ?? null };
  }
  return { code: "internal", message: describeErrorChain(error), advice: null };
}
