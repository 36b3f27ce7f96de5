/** What each client is given to boot, by the settings of the moment. */
import { formatIpv4 } from "../core/ipv4.ts";
import { type ClientKey, isMac } from "../dhcp/client-key.ts";
import type { ReceivedOn } from "../dhcp/decide.ts";
import type { DhcpMessage } from "../dhcp/packet.ts";
import type { BootFields } from "../dhcp/reply.ts";
import type { BootSettings, ScriptQuestion } from "./boot-process-messages.ts";
import { bootFields, decideBootFile } from "./decide.ts";
import { identifyFirmware } from "./firmware.ts";
import { renderAutoexecScript } from "./scripts.ts";

/** What TFTP serves under a name. */
export type TftpFile =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "content"; readonly bytes: Uint8Array };

export class BootDesk {
  private readonly settings: () => BootSettings;
  private readonly scriptFor: (question: ScriptQuestion) => Promise<string>;

  /** @param scriptFor the GRUB script of a machine; the parent decides it */
  constructor(settings: () => BootSettings, scriptFor: (question: ScriptQuestion) => Promise<string>) {
    this.settings = settings;
    this.scriptFor = scriptFor;
  }

  /** Asked for each DHCP message, so it must be quick. */
  bootFieldsFor(message: DhcpMessage, client: ClientKey, receivedOn: ReceivedOn): BootFields {
    const { bootPort, loaders, bootAnswers, unknown } = this.settings();
    const answer = (isMac(client) ? bootAnswers.get(client) : undefined) ?? unknown;
    const bootUrl = `http://${formatIpv4(receivedOn.address)}:${bootPort}`;
    return bootFields(
      decideBootFile(identifyFirmware(message.options), { client, answer, bootUrl, loaders }),
    );
  }

  /** @param name without leading slashes */
  async findTftpFile(name: string, from: ScriptQuestion): Promise<TftpFile | undefined> {
    if (name === "autoexec.ipxe") {
      const bootUrl = `http://${from.localAddress}:${this.settings().bootPort}`;
      return { kind: "content", bytes: Buffer.from(renderAutoexecScript(bootUrl)) };
    }
    if (name === "grub/grub.cfg") {
      return { kind: "content", bytes: Buffer.from(await this.scriptFor(from)) };
    }
    const path = this.settings().tftpFiles.get(name);
    return path === undefined ? undefined : { kind: "file", path };
  }
}
