/**
 * Carries a machine from one image to another beside its heartbeats: keeps how far it got, writes the other slot, arms the
 * trial, and in the trial confirms or gives up. What to do is decided in decide-update.ts, boot-outcome.ts and
 * judge-trial.ts.
 */
import { join } from "node:path";
import { shortDigest } from "../../../core/bytes.ts";
import { DrpError, describeErrorChain, type ErrorCode } from "../../../core/errors.ts";
import { readBootState, writeBootState } from "../../../images/io/boot-volume.ts";
import { otherSlot } from "../../../images/slot-config.ts";
import type { HealthResult, MachineTarget, UpdateReport } from "../../protocol.ts";
import { type KeptUpdate, keptUpdateSchema, type MachineConfig } from "../agent-files.ts";
import { type RunningSystem, settleBoot } from "../boot-outcome.ts";
import { decideUpdate } from "../decide-update.ts";
import { allPass, lateTrialFailure, trialFailure } from "../judge-trial.ts";
import { explainError, type Say } from "./console.ts";
import { readJsonFile, replaceJsonFile } from "./json-file.ts";
import type { MachineDisk } from "./machine-disk.ts";
import type { SiteClient } from "./site-client.ts";
import { writeUpdate } from "./write-update.ts";

export interface UpdaterOptions {
  readonly running: RunningSystem;
  readonly config: MachineConfig;
  readonly client: SiteClient;
  /** The agent's folder on drp-data. */
  readonly home: string;
  readonly findDisk: () => Promise<MachineDisk>;
  readonly say: Say;
  /** Something is worth a heartbeat now. */
  readonly onChange: () => void;
  /** Starts the machine again, without asking any program that runs on it. */
  readonly reboot: () => Promise<void>;
}

/** What trying again with the same site and the same disk does not mend. */
const FINAL: readonly ErrorCode[] = [
  "bundle.malformed",
  "bundle.tampered",
  "disk.failed",
  "disk.refused",
  "disk.too-small",
  "image.release-gap",
  "image.wrong-architecture",
  "signature.rejected",
  "version.unsupported",
];
const UNDER_WAY: readonly UpdateReport["phase"][] = ["fetching", "written", "armed", "trial"];
const MAX_REASON_CHARACTERS = 4096;

export class Updater implements AsyncDisposable {
  readonly #options: UpdaterOptions;
  readonly #keptPath: string;
  #kept: KeptUpdate | null = null;
  /** Whether it is known what this boot is. */
  #isSettled = false;
  #isTrial = false;
  #isRebooting = false;
  #work: { readonly stop: AbortController; readonly ended: Promise<void> } | null = null;
  #failuresInARow = 0;
  #lastHealth: readonly HealthResult[] | null = null;

  private constructor(options: UpdaterOptions) {
    this.#options = options;
    this.#keptPath = join(options.home, "update.json");
  }

  /** Settles first what this boot is. A machine whose disk cannot be read reports all the same, and takes no updates. */
  static async open(options: UpdaterOptions): Promise<Updater> {
    const updater = new Updater(options);
    try {
      await updater.#settle();
    } catch (error) {
      options.say(`this boot's place in an update is unknown: ${explainError(error)}`);
    }
    return updater;
  }

  get isTrial(): boolean {
    return this.#isTrial;
  }

  /** Whether GRUB boots the running slot again by itself; false as long as nobody knows. */
  get slotConfirmed(): boolean {
    return this.#isSettled && !this.#isTrial;
  }

  get isRebooting(): boolean {
    return this.#isRebooting;
  }

  /** Whether a person may be watching. */
  get isUnderWay(): boolean {
    return this.#isTrial || (this.#kept !== null && UNDER_WAY.includes(this.#kept.phase));
  }

  get report(): UpdateReport | null {
    if (this.#kept === null) return null;
    const { rolloutId, attempt, image, phase, doneBytes, totalBytes, reason } = this.#kept;
    return { rolloutId, attempt, image, phase, doneBytes, totalBytes, reason };
  }

  /** To be told of every round of health checks. Keeps why the trial fails, so that the next heartbeat says it. */
  async noteHealth(health: readonly HealthResult[]): Promise<void> {
    this.#lastHealth = health;
    this.#failuresInARow = allPass(health) ? 0 : this.#failuresInARow + 1;
    const failure = trialFailure({ health, failuresInARow: this.#failuresInARow });
    if (this.#isTrial && failure !== null) await this.#keepTrialFailure(failure);
  }

  /** To be called after each heartbeat, answered or not: a trial that has failed ends here. */
  async endFailedTrial(): Promise<void> {
    if (this.#isTrial && this.#kept?.phase === "trial" && this.#kept.reason !== "") await this.#reboot();
  }

  /** The machine's own deadline: whatever hangs, the confirmed slot comes back. */
  async endLateTrial(deadlineSeconds: number): Promise<void> {
    if (!this.#isTrial) return;
    await this.#keepTrialFailure(lateTrialFailure(this.#lastHealth, deadlineSeconds));
    await this.#reboot();
  }

  /** The site has acknowledged a heartbeat with this health, and said what it wants. */
  async heard(target: MachineTarget | null, health: readonly HealthResult[]): Promise<void> {
    try {
      if (target !== null && !this.#isSettled) await this.#settle();
      if (this.#kept?.phase === "trial" && this.#isTrial && this.#kept.reason === "" && allPass(health)) {
        await this.#confirm(this.#kept);
      }
      await this.#follow(target);
    } catch (error) {
      await this.#fail(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopWriting();
  }

  async #settle(): Promise<void> {
    const { running, say } = this.#options;
    const { esp } = await this.#options.findDisk();
    const found = await readBootState(esp);
    const kept = await readJsonFile(this.#keptPath, keptUpdateSchema.nullable(), "").catch(() => null);
    const outcome = settleBoot(running, found, kept);
    this.#kept = outcome.kept;
    this.#isTrial = outcome.isTrial;
    if (JSON.stringify(outcome.kept) !== JSON.stringify(kept)) await this.#keep(outcome.kept);
    if (JSON.stringify(outcome.bootState) !== JSON.stringify(found)) {
      await writeBootState(esp, outcome.bootState);
    }
    this.#isSettled = true;
    if (outcome.isTrial) say(`trial boot of ${shortDigest(running.image)} in slot ${running.slot}`);
    if (kept?.phase !== "fell-back" && outcome.kept?.phase === "fell-back") {
      say(
        `fell back to slot ${running.slot} from ${shortDigest(outcome.kept.image)}: ${outcome.kept.reason}`,
      );
    }
  }

  async #follow(target: MachineTarget | null): Promise<void> {
    const { running } = this.#options;
    const action = decideUpdate(target, this.#kept, { ...running, isTrial: this.#isTrial });
    switch (action.kind) {
      case "none":
        return;
      case "accept":
        await this.#stopWriting();
        if (this.#kept?.phase === "armed") await this.#writeTrial(false);
        await this.#change(action.update);
        this.#options.say(`attempt ${action.update.attempt}: ${describe(action.update)}`);
        return;
      case "write-slot":
        return this.#startWriting();
      case "stop-writing":
        if (this.#work !== null) this.#options.say("the update is paused");
        return await this.#stopWriting();
      case "arm":
        if (this.#kept === null) return;
        await this.#change({ ...this.#kept, phase: "armed", armedInBoot: running.bootId });
        await this.#writeTrial(true);
        return;
      case "disarm":
        if (this.#kept === null) return;
        await this.#writeTrial(false);
        await this.#change({ ...this.#kept, phase: "written", armedInBoot: null });
        this.#options.say("the update is paused; its trial is off");
        return;
      case "abandon-trial":
        await this.#keep(null);
        this.#kept = null;
        this.#options.say("another image is wanted now: the trial ends");
        return await this.#reboot();
      case "reboot":
        return await this.#reboot();
    }
  }

  /** GRUB confirms nothing by itself, so this is what makes the running slot stay. */
  async #confirm(kept: KeptUpdate): Promise<void> {
    const { running, say } = this.#options;
    const { esp } = await this.#options.findDisk();
    await writeBootState(esp, { confirmed: running.slot, trial: null, tries: 0, attempt: kept.attempt });
    this.#isTrial = false;
    this.#kept = { ...kept, phase: "confirmed" };
    await this.#change(this.#kept);
    say(`confirmed: slot ${running.slot} with ${shortDigest(running.image)} boots from now on`);
  }

  async #writeTrial(isOn: boolean): Promise<void> {
    const { slot } = this.#options.running;
    const { esp } = await this.#options.findDisk();
    await writeBootState(esp, {
      confirmed: slot,
      trial: isOn ? otherSlot(slot) : null,
      tries: isOn ? 1 : 0,
      attempt: this.#kept?.attempt ?? 0,
    });
  }

  #startWriting(): void {
    if (this.#work !== null) return;
    const stop = new AbortController();
    const ended = this.#write(stop.signal).finally(() => {
      this.#work = null;
    });
    this.#work = { stop, ended };
  }

  async #stopWriting(): Promise<void> {
    this.#work?.stop.abort();
    await this.#work?.ended;
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { running, config, client, home, say } = this.#options;
    const kept = this.#kept;
    if (kept === null) return;
    try {
      let { totalBytes } = kept;
      await writeUpdate({
        config,
        client,
        home,
        say,
        signal,
        disk: await this.#options.findDisk(),
        slot: otherSlot(running.slot),
        running,
        image: kept.image,
        onProgress: (doneBytes, ofBytes) => {
          totalBytes = ofBytes;
          this.#kept = { ...kept, doneBytes, totalBytes };
        },
      });
      await this.#change({ ...kept, phase: "written", doneBytes: totalBytes, totalBytes });
      say(`slot ${otherSlot(running.slot)} holds ${shortDigest(kept.image)}, read back and equal`);
    } catch (error) {
      if (!signal.aborted) await this.#fail(error);
    }
  }

  /** A site that is away is asked again after the next heartbeat. */
  async #fail(error: unknown): Promise<void> {
    this.#options.say(`the update failed: ${explainError(error)}`);
    const isFinal = error instanceof DrpError && FINAL.includes(error.code);
    if (this.#kept === null || this.#isTrial || !isFinal) return;
    await this.#change({ ...this.#kept, phase: "failed", reason: cut(explainError(error)) });
  }

  /** A full disk must not keep a bad release running: the reason is then lost, the way back is not. */
  async #keepTrialFailure(reason: string): Promise<void> {
    const { say } = this.#options;
    say(`the trial failed: ${reason}; the machine starts again from its confirmed slot`);
    if (this.#kept === null) return;
    this.#kept = { ...this.#kept, reason: cut(reason) };
    await this.#keep(this.#kept).catch((error: unknown) => say(describeErrorChain(error)));
  }

  async #change(kept: KeptUpdate): Promise<void> {
    await this.#keep(kept);
    this.#kept = kept;
    this.#options.onChange();
  }

  async #keep(kept: KeptUpdate | null): Promise<void> {
    await replaceJsonFile(this.#keptPath, kept);
  }

  async #reboot(): Promise<void> {
    if (this.#isRebooting) return;
    this.#isRebooting = true;
    this.#options.say("restarting");
    await this.#options.reboot();
  }
}

function describe({ phase, image, strategy }: KeptUpdate): string {
  if (phase === "confirmed") return `${shortDigest(image)} runs already`;
  return strategy === "ab"
    ? `updating to ${shortDigest(image)}`
    : `restarting into the network, which installs ${shortDigest(image)}`;
}

function cut(reason: string): string {
  return reason.slice(0, MAX_REASON_CHARACTERS);
}
