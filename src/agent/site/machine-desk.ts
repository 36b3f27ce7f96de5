/**
 * The site's side of a conversation with a machine in the ramdisk or in its installed system: who may register, what it is
 * told to do, and which facts go to the hub first. Answers are given only after the hub's link has kept the facts.
 */
import { DrpError } from "../../core/errors.ts";
import { mintId, type RandomBytes } from "../../core/ids.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { Clock, EpochMs } from "../../core/time.ts";
import type { SignedKeyList } from "../../images/key-list.ts";
import type {
  Heartbeat,
  HeartbeatAnswer,
  InstallProgress,
  NextAnswer,
  RegisterAnswer,
  RegisterRequest,
} from "../protocol.ts";
import { BootTokens } from "./boot-tokens.ts";
import { type BootDecision, decideBoot } from "./decide-boot.ts";
import { decideNext } from "./decide-next.ts";
import { RamdiskStarts } from "./ramdisk-starts.ts";
import type { HubLink, SiteMachine, SiteReport } from "./view.ts";

/** A machine is called silent after three of these. */
const HEARTBEAT_INTERVAL_SECONDS = 10;

/** What this boot of a machine's ramdisk has told us. */
interface Registration {
  readonly report: Extract<SiteReport, { kind: "machine-registered" }>;
  readonly registeredAt: EpochMs;
  readonly redeemedIntentId: string | null;
}

export interface MachineDeskOptions {
  readonly hub: HubLink;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}

export class MachineDesk {
  readonly #hub: HubLink;
  readonly #clock: Clock;
  readonly #randomBytes: RandomBytes;
  readonly #tokens: BootTokens;
  readonly #starts = new RamdiskStarts();
  /** By key fingerprint; replaced at the machine's next registration, so at most one per machine of the site. */
  readonly #registrations = new Map<string, Registration>();

  constructor(options: MachineDeskOptions) {
    this.#hub = options.hub;
    this.#clock = options.clock;
    this.#randomBytes = options.randomBytes;
    this.#tokens = new BootTokens(options.randomBytes);
  }

  decideBoot(mac: MacAddress): BootDecision {
    const view = this.#hub.view();
    const machine = machineByMac(view.machines, mac);
    const now = this.#clock();
    const vainStarts = this.#starts.vainStarts(mac, machine?.intent?.id ?? null, now);
    return decideBoot(machine, view.unknown, vainStarts, now);
  }

  /** The token for a boot script that leads into the ramdisk; counts the start. */
  mintToken(mac: MacAddress, intentId: string | null): string {
    const now = this.#clock();
    this.#starts.started(mac, intentId, now);
    return this.#tokens.mint(mac, intentId, now);
  }

  /**
   * @param keyFingerprint of the TLS client certificate's key
   * @throws {DrpError} token.rejected
   */
  async register(
    request: RegisterRequest,
    keyFingerprint: string,
    remoteAddress: string,
  ): Promise<RegisterAnswer> {
    const mac = request.bootMac as MacAddress;
    const now = this.#clock();
    const redemption = this.#tokens.redeem(request.bootToken, mac, keyFingerprint, now);
    if (redemption.kind === "replayed") {
      await this.#hub.report([{ kind: "token-replayed", at: now, mac, fromAddress: remoteAddress }]);
    }
    if (redemption.kind === "replayed" || redemption.kind === "refused") {
      throw new DrpError(
        "token.rejected",
        redemption.kind === "refused"
          ? redemption.reason
          : "this boot token was redeemed before, by another key",
        { advice: "Restart the machine: its next network boot brings a new token.", facts: { mac } },
      );
    }
    this.#starts.registered(mac);
    const known = machineByMac(this.#hub.view().machines, mac);
    const report = {
      kind: "machine-registered",
      at: now,
      machineId: known?.id ?? mintId("m", this.#randomBytes),
      bootMac: mac,
      bootId: request.bootId,
      keyFingerprint,
      inventory: request.inventory,
      intentId: redemption.intentId,
    } as const;
    // A repeated registration whose facts did not reach the hub the first time brings them again. A token that is redeemed
    // counts an attempt, also of a machine that has kept its key.
    const isKept = this.#hub.view().machines.some(machine => machine.keyFingerprint === keyFingerprint);
    if (redemption.kind === "redeemed" || !isKept) {
      await this.#hub.report([report]);
    }
    this.#forgetRegistrationsOf(report.machineId);
    this.#registrations.set(keyFingerprint, {
      report,
      registeredAt: now,
      redeemedIntentId: redemption.intentId,
    });
    const machine = this.#machineByKey(keyFingerprint);
    return { machineId: machine.id, machineName: machine.name };
  }

  /** @throws {DrpError} machine.unknown */
  async next(keyFingerprint: string): Promise<NextAnswer> {
    const registration = this.#registrations.get(keyFingerprint);
    if (registration === undefined) throw unknownKey();
    const now = this.#clock();
    const decision = decideNext(
      this.#machineByKey(keyFingerprint),
      registration.redeemedIntentId,
      registration.registeredAt,
      now,
    );
    if (decision.kind === "answer") return decision.answer;
    // The order came while the machine was waiting: its registration in this boot stands for the redeemed token.
    const { intentId } = decision;
    await this.#hub.report([{ ...registration.report, at: now, intentId }]);
    this.#registrations.set(keyFingerprint, { ...registration, redeemedIntentId: intentId });
    return this.next(keyFingerprint);
  }

  /** Whether this machine may read the image: by its open order, or as its target. */
  mayRead(keyFingerprint: string, image: string): boolean {
    const { intent, target } = this.#machineByKey(keyFingerprint);
    return intent?.image === image || target?.image === image;
  }

  /** @throws {DrpError} machine.unknown */
  keyLists(keyFingerprint: string): readonly SignedKeyList[] {
    this.#machineByKey(keyFingerprint);
    return this.#hub.view().keyLists;
  }

  async progress(keyFingerprint: string, progress: InstallProgress): Promise<void> {
    const { id } = this.#machineByKey(keyFingerprint);
    await this.#hub.report([{ kind: "install-progress", at: this.#clock(), machineId: id, progress }]);
  }

  async heartbeat(keyFingerprint: string, heartbeat: Heartbeat): Promise<HeartbeatAnswer> {
    const { id } = this.#machineByKey(keyFingerprint);
    await this.#hub.report([{ kind: "heartbeat", at: this.#clock(), machineId: id, heartbeat }]);
    const { target } = this.#machineByKey(keyFingerprint);
    return {
      target,
      // The chain begins with list 1 and has no gap.
      keyListVersion: this.#hub.view().keyLists.length,
      acknowledged: { bootCount: heartbeat.bootCount, seq: heartbeat.seq },
      intervalSeconds: HEARTBEAT_INTERVAL_SECONDS,
    };
  }

  #machineByKey(keyFingerprint: string): SiteMachine {
    const machine = this.#hub.view().machines.find(candidate => candidate.keyFingerprint === keyFingerprint);
    if (machine === undefined) throw unknownKey();
    return machine;
  }

  #forgetRegistrationsOf(machineId: string): void {
    for (const [key, { report }] of this.#registrations) {
      if (report.machineId === machineId) this.#registrations.delete(key);
    }
  }
}

function machineByMac(machines: readonly SiteMachine[], mac: MacAddress): SiteMachine | undefined {
  return machines.find(machine => machine.macs.includes(mac));
}

function unknownKey(): DrpError {
  return new DrpError("machine.unknown", "this site knows no machine with this key", {
    advice: "Restart the machine into the network: it registers again.",
  });
}
