/**
 * A rollout while one step works on it. Its setters are the only way to change a state: each asks the table first and writes
 * the event that goes with the change, so that every state in the log has its reason.
 */
import { shortDigest } from "../core/bytes.ts";
import type { EpochMs } from "../core/time.ts";
import type { ImageDigest } from "../images/manifest.ts";
import type { RolloutCommand } from "./command.ts";
import { describeMachine, describeWave } from "./describe.ts";
import type { FleetMachine, FleetSite } from "./fleet.ts";
import { type RolloutEvent, rolloutEvent } from "./rollout-event.ts";
import type {
  MachineProgress,
  PlannedMachine,
  PlannedWave,
  RolloutRecord,
  RolloutState,
  WaveState,
} from "./rollout-record.ts";
import {
  MACHINE_TRANSITIONS,
  ROLLOUT_TRANSITIONS,
  requireTransition,
  WAVE_TRANSITIONS,
} from "./transitions.ts";

export interface StepInput {
  readonly rollout: RolloutRecord;
  /** Of the plan's sites, at least. */
  readonly machines: readonly FleetMachine[];
  readonly sites: readonly FleetSite[];
  /** Why the image is denied in the whole fleet by now, or null. */
  readonly imageDenied: string | null;
  /** When this hub began to listen: what came before it could not hear. */
  readonly listeningSince: EpochMs;
  readonly now: EpochMs;
}

export class RolloutDraft {
  readonly before: RolloutRecord;
  readonly machines: ReadonlyMap<string, FleetMachine>;
  readonly sites: ReadonlyMap<string, FleetSite>;
  readonly listeningSince: EpochMs;
  readonly now: EpochMs;
  readonly commands: RolloutCommand[] = [];
  readonly events: RolloutEvent[] = [];
  #state: RolloutState;
  readonly #waves: WaveState[];
  readonly #progress: Record<string, MachineProgress>;
  #changed = false;

  constructor({ rollout, machines, sites, listeningSince, now }: StepInput) {
    this.before = rollout;
    this.machines = new Map(machines.map(machine => [machine.id, machine]));
    this.sites = new Map(sites.map(site => [site.id, site]));
    this.listeningSince = listeningSince;
    this.now = now;
    this.#state = rollout.state;
    this.#waves = [...rollout.waves];
    this.#progress = { ...rollout.machines };
  }

  get plan() {
    return this.before.plan;
  }

  get state(): RolloutState {
    return this.#state;
  }

  get progress(): Readonly<Record<string, MachineProgress>> {
    return this.#progress;
  }

  /** The wave that the rollout is at, or undefined when all have passed. */
  get currentWave():
    | { readonly index: number; readonly wave: PlannedWave; readonly state: WaveState }
    | undefined {
    const index = this.#waves.findIndex(state => state.kind !== "passed");
    const wave = this.plan.waves[index];
    const state = this.#waves[index];
    return wave === undefined || state === undefined ? undefined : { index, wave, state };
  }

  plannedMachines(): readonly PlannedMachine[] {
    return this.plan.waves.flatMap(wave => wave.sites.flatMap(site => site.machines));
  }

  progressOf(machineId: string): MachineProgress {
    const progress = this.#progress[machineId];
    if (progress === undefined)
      throw new Error(`rollout ${this.before.id} keeps no progress of ${machineId}`);
    return progress;
  }

  setState(state: RolloutState, severity: RolloutEvent["severity"], summary: string): void {
    requireTransition(ROLLOUT_TRANSITIONS, `rollout ${this.before.id}`, this.#state.kind, state.kind);
    this.#state = state;
    this.#changed = true;
    this.events.push(
      rolloutEvent(this.before, this.now, { kind: `rollout.${state.kind}`, severity, summary }),
    );
  }

  setWave(index: number, state: WaveState): void {
    const from = this.#waves[index];
    if (from === undefined) throw new RangeError(`rollout ${this.before.id} has no wave ${index}`);
    requireTransition(WAVE_TRANSITIONS, `wave ${index + 1} of ${this.before.id}`, from.kind, state.kind);
    this.#waves[index] = state;
    this.#changed = true;
    const event = rolloutEvent(this.before, this.now, describeWave(this.plan, index, state, this.now));
    this.events.push(event);
  }

  setMachine(planned: PlannedMachine, next: MachineProgress): void {
    const from = this.progressOf(planned.machineId);
    if (from === next) return;
    requireTransition(MACHINE_TRANSITIONS, `${planned.name} in ${this.before.id}`, from.kind, next.kind);
    this.#progress[planned.machineId] = next;
    this.#changed = true;
    const words = describeMachine(this.plan, planned, from, next);
    if (words !== undefined) this.#machineEvent(planned, words);
  }

  /** The whole disk is written anew: the machine needs leave for that besides its target. */
  orderReinstall({ machineId }: PlannedMachine, image: ImageDigest): void {
    if (this.plan.strategy === "reimage") this.commands.push({ kind: "order-reinstall", machineId, image });
  }

  denyOnMachine(planned: PlannedMachine, reason: string): void {
    const { machineId, name } = planned;
    const { image, imageName } = this.plan;
    this.commands.push({ kind: "deny-on-machine", machineId, image, reason });
    this.#machineEvent(planned, {
      kind: "update.denied",
      severity: "warning",
      summary: `${imageName} (${shortDigest(image)}) is denied on ${name} from now on: ${reason}`,
    });
  }

  /** The record as it is after the step: the same one when nothing has changed. */
  finish(): RolloutRecord {
    if (!this.#changed) return this.before;
    return {
      ...this.before,
      state: this.#state,
      waves: this.#waves,
      machines: this.#progress,
      updatedAt: this.now,
      revision: this.before.revision + 1,
    };
  }

  #machineEvent(
    { machineId }: PlannedMachine,
    words: Pick<RolloutEvent, "kind" | "severity" | "summary"> & Partial<Pick<RolloutEvent, "facts">>,
  ): void {
    const machine = this.machines.get(machineId);
    this.events.push({
      ...rolloutEvent(this.before, this.now, words),
      siteId: machine?.siteId ?? null,
      machineId,
      mac: machine?.macs[0] ?? null,
    });
  }
}
