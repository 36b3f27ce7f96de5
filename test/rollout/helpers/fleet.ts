/** A made-up fleet: machines that behave as they are told, driven through stepRollout and checked after every step. */
import { checkRollout } from "../../../src/rollout/check.ts";
import { createRollout } from "../../../src/rollout/create-rollout.ts";
import type { FleetImage, FleetMachine, FleetSite, Running } from "../../../src/rollout/fleet.ts";
import type { OperatorOutcome } from "../../../src/rollout/operator.ts";
import { type Fleet, type PlanRequest, planRollout } from "../../../src/rollout/plan.ts";
import type { RolloutPlan, RolloutRecord } from "../../../src/rollout/rollout-record.ts";
import { stepRollout } from "../../../src/rollout/step.ts";
import { GIB, inventoryWith, MAC } from "../../helpers/machines.ts";

export const V1 = `sha256:${"1".repeat(64)}`;
export const V2 = `sha256:${"2".repeat(64)}`;
const MIB = 1024 ** 2;

export function imageWith(change: Partial<FleetImage> = {}): FleetImage {
  return {
    digest: V2,
    name: "app",
    version: "v2",
    architecture: "amd64",
    sizeBytes: 256 * MIB,
    release: 2,
    minimumRelease: 0,
    ...change,
  };
}

export function siteWith(name: string, change: Partial<FleetSite> = {}): FleetSite {
  return {
    id: `s-${name}`,
    name,
    labels: {},
    baseline: V1,
    membership: { kind: "joined" },
    lastSeenAt: 0,
    ...change,
  };
}

export function runningWith(change: Partial<Running> = {}): Running {
  const health = [{ name: "app", status: "pass", detail: "" }] as const;
  return { image: V1, bootId: "boot-1", slotConfirmed: true, health, update: null, ...change };
}

export function machineIn(site: string, name: string, change: Partial<FleetMachine> = {}): FleetMachine {
  const disk = { path: "/dev/vda", sizeBytes: 2 * GIB, sectorBytes: 512, removable: false };
  return {
    id: `m-${name}`,
    siteId: `s-${site}`,
    name,
    macs: [MAC],
    inventory: { ...inventoryWith(), disks: [disk] },
    state: { kind: "healthy" },
    running: runningWith(),
    target: null,
    denied: [],
    lastSeenAt: 0,
    ...change,
  };
}

export function requestWith(change: Partial<PlanRequest> = {}): PlanRequest {
  return {
    image: "v2",
    selector: "",
    waves: "1,100%",
    strategy: "ab",
    soakSeconds: 30,
    machineTimeoutSeconds: 300,
    ...change,
  };
}

export function fleetWith(change: Partial<Fleet> = {}): Fleet {
  const v1 = imageWith({ digest: V1, version: "v1", release: 1 });
  return {
    image: imageWith(),
    images: new Map([v1, imageWith()].map(image => [image.digest, image])),
    sites: [siteWith("berlin"), siteWith("rome")],
    machines: [machineIn("berlin", "b1"), machineIn("berlin", "b2"), machineIn("rome", "r1")],
    deniedImages: [],
    openRollouts: [],
    standing: null,
    ...change,
  };
}

export function planOf(request: PlanRequest, fleet: Fleet): RolloutPlan {
  const outcome = planRollout(request, fleet);
  if (outcome.kind === "refused") throw new Error(`refused: ${outcome.reason}`);
  return outcome.plan;
}

/** "00:01:05 wave.open — wave 1 of 2 (1) is open: berlin" */
export class Scenario {
  now = 0;
  /** Long before the rollout began. */
  listeningSince = -3_600_000;
  imageDenied: string | null = null;
  rollout: RolloutRecord;
  readonly machines = new Map<string, FleetMachine>();
  readonly sites = new Map<string, FleetSite>();
  readonly timeline: string[] = [];
  readonly deniedFleetWide: string[] = [];
  readonly #cutOff = new Set<string>();
  #boots = 1;

  constructor(fleet: Fleet, request: PlanRequest) {
    for (const machine of fleet.machines) this.machines.set(machine.id, machine);
    for (const site of fleet.sites) this.sites.set(site.id, site);
    const plan = planOf(request, fleet);
    const { rollout, event } = createRollout(plan, { id: "r-1", startedBy: "ops", now: 0 });
    this.rollout = rollout;
    this.#note(event.kind, event.summary);
  }

  machine(name: string): FleetMachine {
    const machine = this.machines.get(`m-${name}`);
    if (machine === undefined) throw new Error(`no machine ${name}`);
    return machine;
  }

  /** Time passes; reachable sites and their machines go on reporting, and the engine steps. */
  wait(seconds: number): void {
    for (let passed = 0; passed < seconds; passed += 5) {
      this.now += Math.min(5, seconds - passed) * 1000;
      for (const site of this.sites.values()) {
        if (this.#cutOff.has(site.id)) continue;
        this.sites.set(site.id, { ...site, lastSeenAt: this.now });
        for (const machine of this.machines.values()) {
          if (machine.siteId === site.id && !this.#cutOff.has(machine.id)) this.#change(machine, {});
        }
      }
      this.step();
    }
  }

  step(): void {
    const { rollout, listeningSince, now } = this;
    const machines = [...this.machines.values()];
    const sites = [...this.sites.values()];
    const result = stepRollout({
      rollout,
      machines,
      sites,
      imageDenied: this.imageDenied,
      listeningSince,
      now,
    });
    this.rollout = result.rollout;
    for (const event of result.events) this.#note(event.kind, event.summary);
    for (const command of result.commands) {
      if (command.kind === "deny-image") {
        this.deniedFleetWide.push(command.image);
        this.#note("(deny)", `${command.image.slice(0, 10)} in the whole fleet`);
      } else if (command.kind === "set-baseline") {
        const site = this.sites.get(command.siteId);
        if (site !== undefined) this.sites.set(site.id, { ...site, baseline: command.image });
        this.#note("(baseline)", `${site?.name} ${command.image?.slice(0, 10)}`);
      } else {
        const machine = this.machines.get(command.machineId);
        if (machine === undefined) continue;
        if (command.kind === "set-target") this.#set(machine, { target: command.target });
        if (command.kind === "clear-target") this.#set(machine, { target: null });
        if (command.kind === "deny-on-machine") {
          this.#set(machine, {
            denied: [...machine.denied, { image: command.image, reason: command.reason }],
          });
        }
        if (command.kind === "order-reinstall") {
          this.#note("(reinstall)", `${machine.name} ${command.image.slice(0, 10)}`);
        }
      }
    }
    const violations = checkRollout(this.rollout, [...this.machines.values()]);
    if (violations.length > 0) throw new Error(`${violations.join("; ")}\n${this.timeline.join("\n")}`);
  }

  operator(verb: (rollout: RolloutRecord, by: string, now: number) => OperatorOutcome): void {
    const outcome = verb(this.rollout, "ops", this.now);
    if (outcome.kind === "refused") throw new Error(outcome.reason);
    this.rollout = outcome.rollout;
    this.#note(outcome.event.kind, outcome.event.summary);
    this.step();
  }

  cutOff(...names: readonly string[]): void {
    for (const name of names) this.#cutOff.add(name);
  }

  reconnect(...names: readonly string[]): void {
    for (const name of names) this.#cutOff.delete(name);
  }

  /** The machine reports how far it is with its target. */
  report(name: string, phase: string, reason = ""): void {
    const machine = this.machine(name);
    const { target, running } = machine;
    if (target === null || running === null) throw new Error(`${name} has no target`);
    const { rolloutId, attempt } = target;
    const update = { rolloutId, attempt, phase, doneBytes: 0, totalBytes: 0, reason };
    this.#change(machine, { running: { ...running, update } });
    this.step();
  }

  /** A heartbeat of the boot that runs. */
  hear(name: string, change: Partial<Running>): void {
    const machine = this.machine(name);
    this.#change(machine, { running: { ...(machine.running ?? runningWith()), ...change } });
    this.step();
  }

  /** A new boot, into the image that is named. */
  boot(name: string, image: string, change: Partial<Running> = {}): void {
    const machine = this.machine(name);
    const running = { ...(machine.running ?? runningWith()), slotConfirmed: true };
    this.#boots++;
    this.#change(machine, { running: { ...running, image, bootId: `boot-${this.#boots}`, ...change } });
    this.step();
  }

  /** Everything goes well with what the machine is given. */
  obey(name: string): void {
    const { target, running } = this.machine(name);
    if (target === null) throw new Error(`${name} has no target`);
    if (running?.image === target.image) {
      this.report(name, "confirmed");
      return;
    }
    for (const phase of ["fetching", "written", "armed"]) this.report(name, phase);
    this.boot(name, target.image, { slotConfirmed: false });
    this.report(name, "trial");
    const after = this.machine(name);
    if (after.running === null) return;
    this.#change(after, { running: { ...after.running, slotConfirmed: true } });
    this.report(name, "confirmed");
  }

  /** The trial fails: GRUB boots the old slot, whose agent says why. */
  fallBack(name: string, reason: string): void {
    for (const phase of ["fetching", "written", "armed"]) this.report(name, phase);
    const target = this.machine(name).target;
    const old = this.machine(name).running?.image ?? V1;
    this.boot(name, target?.image ?? V2, { slotConfirmed: false });
    const { rolloutId = "", attempt = 0 } = target ?? {};
    const update = { rolloutId, attempt, phase: "fell-back", doneBytes: 0, totalBytes: 0, reason };
    this.boot(name, old, { update });
  }

  setHealth(name: string, failing: string | null): void {
    const machine = this.machine(name);
    this.#set(machine, {
      state: failing === null ? { kind: "healthy" } : { kind: "unhealthy", reason: failing },
    });
    this.step();
  }

  /** A heartbeat has come. */
  #change(machine: FleetMachine, change: Partial<FleetMachine>): void {
    this.#set(machine, { lastSeenAt: this.now, ...change });
  }

  #set({ id }: FleetMachine, change: Partial<FleetMachine>): void {
    const machine = this.machines.get(id);
    if (machine !== undefined) this.machines.set(id, { ...machine, ...change });
  }

  #note(kind: string, summary: string): void {
    const seconds = Math.floor(this.now / 1000);
    const clock = `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
    this.timeline.push(`${clock}  ${kind.padEnd(22)} ${summary}`);
  }
}
