/** Turns what a step wants into one commit: the rollout's record, every machine and site that it touches, and its events. */
import { type MachineRecord, type MachineState, openIntent } from "../../agent/hub/machine-record.ts";
import { type InstallableImage, orderInstall } from "../../agent/hub/order-install.ts";
import { mintId, type RandomBytes } from "../../core/ids.ts";
import type { EpochMs } from "../../core/time.ts";
import type { ImageDigest } from "../../images/manifest.ts";
import type { NewEvent, SiteRecord, StoreChange } from "../../store/ports.ts";
import { rolloutEvent } from "../rollout-event.ts";
import type { RolloutRecord } from "../rollout-record.ts";
import type { StepResult } from "../step.ts";

export interface StepContext {
  readonly before: RolloutRecord;
  readonly machines: readonly MachineRecord[];
  readonly sites: readonly SiteRecord[];
  /** Of the plan: the new one, and those to go back to. */
  readonly images: ReadonlyMap<ImageDigest, InstallableImage>;
  readonly now: EpochMs;
  readonly randomBytes: RandomBytes;
}

/** A power cut in mid-install costs an attempt; a second one is bad luck, a third a broken machine. */
const INSTALL_ATTEMPTS = 3;

/** @returns nothing when the step decided nothing */
export function changesOfStep(step: StepResult, context: StepContext): StoreChange[] {
  const { before, now } = context;
  const machines = new Map<string, MachineRecord>(context.machines.map(machine => [machine.id, machine]));
  const sites = new Map<string, SiteRecord>(context.sites.map(site => [site.id, site]));
  const changes: StoreChange[] = [];
  const events: NewEvent[] = [...step.events];
  const changeMachine = (id: string, change: (machine: MachineRecord) => Partial<MachineRecord>) => {
    const machine = machines.get(id);
    if (machine !== undefined) machines.set(id, { ...machine, ...change(machine) });
  };

  for (const command of step.commands) {
    switch (command.kind) {
      case "set-target":
        changeMachine(command.machineId, () => ({ target: command.target }));
        break;
      case "clear-target":
        changeMachine(command.machineId, machine => ({
          target: null,
          state: stateWithoutOrder(machine, before),
        }));
        break;
      case "deny-on-machine": {
        const { image, reason } = command;
        changeMachine(command.machineId, ({ denied }) => ({
          denied: [...denied, { image, reason, at: now }],
        }));
        break;
      }
      case "order-reinstall": {
        const machine = machines.get(command.machineId);
        const image = context.images.get(command.image);
        if (machine === undefined || image === undefined) break;
        const ordered = orderReinstall(machine, image, context);
        machines.set(machine.id, ordered.machine);
        events.push(...ordered.events);
        break;
      }
      case "set-baseline": {
        const site = sites.get(command.siteId);
        if (site !== undefined) sites.set(site.id, { ...site, baseline: command.image });
        break;
      }
      case "deny-image": {
        const { image: digest, reason } = command;
        changes.push({ kind: "deny-image", denied: { digest, reason, rolloutId: before.id, at: now } });
        break;
      }
    }
  }

  if (step.rollout !== before) {
    changes.push({ kind: "update-rollout", rollout: step.rollout, expectedRevision: before.revision });
    changes.push(...raiseFloor(step.rollout, context));
  }
  for (const old of context.machines) {
    const machine = machines.get(old.id);
    if (machine === undefined || machine === old) continue;
    const changed = { ...machine, updatedAt: now, revision: old.revision + 1 };
    changes.push({ kind: "update-machine", machine: changed, expectedRevision: old.revision });
  }
  for (const old of context.sites) {
    const site = sites.get(old.id);
    if (site === undefined || site === old) continue;
    const changed = { ...site, revision: old.revision + 1 };
    changes.push({ kind: "update-site", site: changed, expectedRevision: old.revision });
  }
  return [...changes, ...events.map(event => ({ kind: "append-event", event }) as const)];
}

/** What the fleet has taken up must not be replaced by older releases. A single machine's rollout says nothing of the fleet. */
function raiseFloor({ id, plan, state }: RolloutRecord, { images, now }: StepContext): StoreChange[] {
  const image = images.get(plan.image);
  if (state.kind !== "done" || plan.machine !== undefined || image === undefined) return [];
  const floor = {
    imageName: image.name,
    release: image.release,
    rolloutId: id,
    reason: `rollout ${id} of ${plan.imageName} is done`,
    setAt: now,
    setBy: `rollout ${id}`,
  };
  return [{ kind: "raise-release-floor", floor }];
}

/** An order of this rollout that is still open gives way to the new one; a second attempt goes on with the first's order. */
function orderReinstall(
  machine: MachineRecord,
  image: InstallableImage,
  { before, now, randomBytes }: StepContext,
): { readonly machine: MachineRecord; readonly events: readonly NewEvent[] } {
  const createdBy = authorOf(before);
  const open = openIntent(machine.state);
  if (open?.image === image.digest && now < open.expiresAt) return { machine, events: [] };
  const free: MachineRecord =
    open?.createdBy === createdBy ? { ...machine, state: { kind: "discovered" } } : machine;
  const decision = orderInstall({
    machine: free,
    image,
    request: {
      diskPath: null,
      wipe: true,
      expiresInMinutes: Math.ceil(before.plan.machineTimeoutSeconds / 60),
      maxAttempts: INSTALL_ATTEMPTS,
    },
    // The engine has judged the new image already, and the way back is never refused.
    denied: [],
    standing: null,
    baseline: null,
    createdBy,
    now,
    intentId: mintId("i", randomBytes),
  });
  if (decision.kind === "ordered") return { machine: decision.machine, events: [decision.event] };
  // Nothing is ordered: the machine's deadline makes it a failure, and this line says why.
  const event = rolloutEvent(before, now, {
    kind: "update.install-refused",
    severity: "alarm",
    summary: `${machine.name} cannot be reinstalled: ${decision.reason}`,
  });
  const mac = machine.macs[0] ?? null;
  return { machine, events: [{ ...event, siteId: machine.siteId, machineId: machine.id, mac }] };
}

/** A machine that is released must not be wiped later by an order that it never followed. One that is being written ends it. */
function stateWithoutOrder({ state, running }: MachineRecord, rollout: RolloutRecord): MachineState {
  if (state.kind !== "assigned" || state.intent.createdBy !== authorOf(rollout) || running === null)
    return state;
  const failing = running.health.filter(check => check.status === "fail");
  if (failing.length === 0) return { kind: "healthy" };
  return { kind: "unhealthy", reason: failing.map(check => `${check.name}: ${check.detail}`).join("; ") };
}

function authorOf(rollout: RolloutRecord): string {
  return `rollout ${rollout.id}`;
}
