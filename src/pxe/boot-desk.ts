/** What each client is given to boot, by the settings of the moment and by what became of its last loader. */
import { formatIpv4 } from "../core/ipv4.ts";
import type { MacAddress } from "../core/mac.ts";
import type { Clock } from "../core/time.ts";
import { type ClientKey, isMac } from "../dhcp/client-key.ts";
import type { ReceivedOn } from "../dhcp/decide.ts";
import { OPTION, readUint8 } from "../dhcp/options.ts";
import { type DhcpMessage, MESSAGE_TYPE } from "../dhcp/packet.ts";
import type { BootFields } from "../dhcp/reply.ts";
import type { BootSettings, ScriptQuestion } from "./boot-process-messages.ts";
import { bootFields, decideBootFile } from "./decide.ts";
import { type Firmware, identifyFirmware } from "./firmware.ts";
import { LoaderMemory } from "./loader-memory.ts";
import { renderAutoexecScript } from "./scripts.ts";

/** What TFTP serves under a name. */
export type TftpFile =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "content"; readonly bytes: Uint8Array };

export class BootDesk {
  private readonly settings: () => BootSettings;
  private readonly scriptFor: (question: ScriptQuestion) => Promise<string>;
  private readonly clock: Clock;
  private readonly memory = new LoaderMemory();

  /** @param scriptFor the GRUB script of a machine; the parent decides it */
  constructor(
    settings: () => BootSettings,
    scriptFor: (question: ScriptQuestion) => Promise<string>,
    clock: Clock,
  ) {
    this.settings = settings;
    this.scriptFor = scriptFor;
    this.clock = clock;
  }

  /** Asked for each DHCP message, so it must be quick. */
  bootFieldsFor(message: DhcpMessage, client: ClientKey, receivedOn: ReceivedOn): BootFields {
    const { bootPort, loaders, loader, bootAnswers, unknown } = this.settings();
    const mac = isMac(client) ? client : undefined;
    const firmware = identifyFirmware(message.options, client);
    if (mac !== undefined) this.rememberFirmware(mac, firmware, message);
    const decision = decideBootFile(firmware, {
      client,
      answer: (mac === undefined ? undefined : bootAnswers.get(mac)) ?? unknown,
      bootUrl: `http://${formatIpv4(receivedOn.address)}:${bootPort}`,
      choice: loader,
      loaders,
      rejection: mac === undefined ? undefined : this.memory.rejection(mac, this.clock()),
    });
    return firmware.kind === "not-booting"
      ? bootFields(decision)
      : { ...bootFields(decision), firmware: firmware.words };
  }

  /** A machine has received all of a file, by TFTP or by HTTP. @param file its name, without a path */
  hearFetched(mac: MacAddress, file: string): void {
    const { loaders } = this.settings();
    const isIpxe = Object.entries(loaders.ipxe).some(([target, name]) => name === file && target !== "bios");
    if (isIpxe) this.memory.fetched(mac, file, this.clock());
  }

  /** @param name without leading slashes */
  async findTftpFile(name: string, from: ScriptQuestion): Promise<TftpFile | undefined> {
    if (name === "autoexec.ipxe") {
      if (from.mac !== null) this.memory.started(from.mac);
      const bootUrl = `http://${from.localAddress}:${this.settings().bootPort}`;
      return { kind: "content", bytes: Buffer.from(renderAutoexecScript(bootUrl)) };
    }
    if (name === "grub/grub.cfg") {
      return { kind: "content", bytes: Buffer.from(await this.scriptFor(from)) };
    }
    const path = this.settings().tftpFiles.get(name);
    return path === undefined ? undefined : { kind: "file", path };
  }

  private rememberFirmware(mac: MacAddress, firmware: Firmware, message: DhcpMessage): void {
    if (firmware.kind === "ipxe") this.memory.started(mac);
    // A REQUEST belongs to the DISCOVER before it, which may be older than the loader.
    else if (readUint8(message.options, OPTION.messageType) === MESSAGE_TYPE.discover) {
      if (firmware.kind === "pxe" || firmware.kind === "uefi-http") this.memory.cameBack(mac);
    }
  }
}
