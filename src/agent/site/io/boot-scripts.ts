/**
 * What a machine is told to boot that has come to its script, with a token in it where it leads into the ramdisk. The machine
 * desk decides; here it is found out whether the machine is where it says, and which addresses its script carries.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describeErrorChain } from "../../../core/errors.ts";
import type { MacAddress } from "../../../core/mac.ts";
import type { BootEvent } from "../../../dhcp/boot-event.ts";
import { type BootPlan, type DiskCause, describeScript } from "../../../pxe/boot-plan.ts";
import type { DhcpMode, ScriptQuestion } from "../../../pxe/boot-process-messages.ts";
import { renderGrubScript } from "../../../pxe/grub-script.ts";
import { LOCAL_BOOT } from "../../../pxe/loader-files.ts";
import type { MachineDesk } from "../machine-desk.ts";

export interface BootScriptsOptions {
  readonly desk: MachineDesk;
  /** Where a machine is sent whose connection does not tell at which of our addresses it reached us. */
  readonly address: string;
  readonly bootPort: number;
  readonly machinePort: number;
  readonly bootFiles: string;
  readonly dhcpMode: DhcpMode;
  /** Null: nothing here tells whose address it is. */
  readonly macOf: (remoteAddress: string) => Promise<MacAddress | null>;
  readonly onEvent: (mac: MacAddress | null, event: BootEvent) => void;
}

const CONSOLES = ["console=tty0", "console=ttyS0,115200"];

export class BootScripts {
  readonly #options: BootScriptsOptions;

  constructor(options: BootScriptsOptions) {
    this.#options = options;
  }

  /**
   * @param localAddress ours, at which the machine reached us
   * @throws {DrpError} internal, while the boot process is being started again
   */
  async plan(mac: MacAddress, remoteAddress: string, localAddress: string): Promise<BootPlan> {
    const { desk, bootFiles, bootPort, machinePort } = this.#options;
    const decision = desk.decideBoot(mac);
    if (decision.kind === "silent") return { kind: "refused", reason: decision.reason };
    const address = localAddress === "" ? this.#options.address : localAddress;
    const bootUrl = `http://${address}:${bootPort}`;
    const disk = (reason: string, because: DiskCause | null): BootPlan => ({
      kind: "disk",
      reason,
      because,
      uefiLoaderUrl: `${bootUrl}/loaders/${LOCAL_BOOT}`,
    });
    if (decision.kind === "disk") return disk(decision.reason, decision.because);
    if (!existsSync(join(bootFiles, "ramdisk.img"))) {
      return disk("this site has no boot files; make them with: npm run build", null);
    }
    const elsewhere = await this.#whyElsewhere(mac, remoteAddress);
    if (elsewhere !== undefined) return { kind: "refused", reason: elsewhere };
    const { order, reason } = decision;
    return {
      kind: "ramdisk",
      kernelUrl: `${bootUrl}/ramdisk/vmlinuz`,
      initrdUrl: `${bootUrl}/ramdisk/initrd.img`,
      reason,
      order: order === null ? null : { id: order.id, attempts: order.attempts },
      arguments: [
        `drp.site=https://${address}:${machinePort}`,
        `drp.boot=${bootUrl}`,
        `drp.token=${desk.mintToken(mac, order?.id ?? null)}`,
        `drp.mac=${mac}`,
        "panic=10",
        "quiet",
        ...CONSOLES,
      ],
    };
  }

  /** GRUB does not say who it is: its address does. Never rejects, for a machine at a boot prompt can only show a script. */
  async grubScript({ mac, remoteAddress, localAddress }: ScriptQuestion): Promise<string> {
    const plan = await this.#planOrRefusal(mac, remoteAddress, localAddress);
    this.#options.onEvent(mac, describeScript(plan, "grub"));
    return renderGrubScript(plan, localAddress);
  }

  async #planOrRefusal(
    mac: MacAddress | null,
    remoteAddress: string,
    localAddress: string,
  ): Promise<BootPlan> {
    if (mac === null) {
      const reason = `nothing here tells which machine has ${remoteAddress}: no lease, and no entry in the neighbour table`;
      return { kind: "refused", reason };
    }
    try {
      return await this.plan(mac, remoteAddress, localAddress);
    } catch (error) {
      return { kind: "refused", reason: describeErrorChain(error) };
    }
  }

  /**
   * A token goes only to where the machine is: whoever asks from elsewhere asks for somebody else. Without DHCP of ours
   * (neither addresses nor a proxy's answers) machines may come over routers, and nothing tells where one is.
   */
  async #whyElsewhere(mac: MacAddress, remoteAddress: string): Promise<string | undefined> {
    const { dhcpMode, macOf } = this.#options;
    if (dhcpMode === "off" || (await macOf(remoteAddress)) === mac) return undefined;
    return dhcpMode === "server"
      ? `${remoteAddress} is not the address that ${mac} was given`
      : `${remoteAddress} is not ${mac}'s by this host's neighbour table (a machine behind a router has no entry there)`;
  }
}
