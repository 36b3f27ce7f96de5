/**
 * Decides what a rollout will do before it does anything: which sites, in which wave, which machine after which, and what
 * each goes back to. Whatever cannot work is refused here, with the reason and the way out; nothing has changed by then.
 */
import { hash } from "node:crypto";
import { shortDigest } from "../core/bytes.ts";
import type { ErrorCode } from "../core/errors.ts";
import { canonicalText } from "../images/canonical.ts";
import { tagIn } from "../images/image-reference.ts";
import type { ImageDigest } from "../images/manifest.ts";
import { refuseFit } from "./fit.ts";
import type { FleetImage, FleetMachine, FleetSite } from "./fleet.ts";
import { type ImageStanding, refuseStanding } from "./image-standing.ts";
import type { Refusal } from "./refusal.ts";
import { refuseReleaseGap } from "./refuse-release-gap.ts";
import {
  type Deferred,
  isEnded,
  type PlannedMachine,
  type PlannedSite,
  type PlannedWave,
  type RolloutPlan,
  type RolloutRecord,
  type Strategy,
} from "./rollout-record.ts";
import { parseSelector } from "./selector.ts";
import { planWaves } from "./waves.ts";

export interface PlanRequest {
  /** As the person typed it: for the refusal's words. */
  readonly image: string;
  readonly selector: string;
  readonly waves: string;
  readonly strategy: Strategy;
  /** Name or id: only this one machine. */
  readonly machine?: string | undefined;
  readonly soakSeconds: number;
  readonly machineTimeoutSeconds: number;
  /** Left out: the image's digest. */
  readonly seed?: string | undefined;
  /** Exactly this plan, or none. */
  readonly planHash?: string | undefined;
}

export interface Fleet {
  /** The one that the request means; undefined: there is none. */
  readonly image: FleetImage | undefined;
  /** All that the registry holds, to go back to. */
  readonly images: ReadonlyMap<ImageDigest, FleetImage>;
  readonly sites: readonly FleetSite[];
  readonly machines: readonly FleetMachine[];
  readonly deniedImages: readonly {
    readonly digest: ImageDigest;
    readonly reason: string;
    readonly rolloutId: string;
  }[];
  readonly openRollouts: readonly RolloutRecord[];
  /** Of the image that the request means; null where there is none. */
  readonly standing: ImageStanding | null;
}

export type PlanOutcome = { readonly kind: "planned"; readonly plan: RolloutPlan } | Refusal;

export function planRollout(request: PlanRequest, fleet: Fleet): PlanOutcome {
  const { image } = fleet;
  if (image === undefined) {
    return refuse(
      "image.unknown",
      `no image is called ${request.image}`,
      "See which there are: drp images list",
    );
  }
  const imageName = nameOf(image);
  const imageTag = tagIn(request.image, image);
  const denied = fleet.deniedImages.find(({ digest }) => digest === image.digest);
  if (denied !== undefined) {
    return refuse(
      "rollout.refused",
      `${imageName} is denied in the whole fleet since rollout ${denied.rolloutId}: ${denied.reason}`,
      "Mend it, and push it as a new version.",
    );
  }

  const selection = selectSites(request, fleet);
  if (selection.kind === "refused") return selection;
  const draft: Draft = { work: [], current: [], deferred: [] };
  for (const site of selection.sites) {
    const refusal = sortSite(site, selection.machines, image, request.strategy, fleet.images, draft);
    if (refusal !== undefined) return refusal;
  }
  if (draft.work.length === 0) return refuseIdle(imageName, draft);
  const refusal =
    standingRefusal(image, fleet.standing, draft) ??
    refuseReleaseGap(image, request.strategy, draft.work, fleet.images);
  if (refusal !== undefined) return refusal;

  const seed = request.seed ?? image.digest;
  const sizes = planWaves(request.waves, draft.work.length);
  if (sizes.kind === "refused") return sizes;
  const order = inDrawnOrder(draft.work, seed);
  const waves = sizes.waves.map(({ label, siteCount }, index): PlannedWave => {
    const sites = order.slice(sizes.waves[index - 1]?.siteCount ?? 0, siteCount);
    // Sites with nothing to do come last: only their baseline moves, and they must not stand in for a canary.
    const last = index === sizes.waves.length - 1;
    return { label, sites: last ? [...sites, ...inDrawnOrder(draft.current, seed)] : sites };
  });
  const body = {
    image: image.digest,
    imageName,
    ...(imageTag === undefined ? {} : { imageTag }),
    strategy: request.strategy,
    selector: request.selector,
    ...(selection.machineName === undefined ? {} : { machine: selection.machineName }),
    seed,
    waves,
    deferred: draft.deferred,
    soakSeconds: request.soakSeconds,
    machineTimeoutSeconds: request.machineTimeoutSeconds,
  };
  const plan: RolloutPlan = { hash: hash("sha256", canonicalText(body)), ...body };
  if (request.planHash !== undefined && request.planHash !== plan.hash) {
    return refuse(
      "rollout.refused",
      `the fleet has changed since plan ${request.planHash.slice(0, 12)} was made: the plan is ${plan.hash.slice(0, 12)} now`,
      "Look at the new plan (drp rollout plan), then start that one.",
    );
  }
  return { kind: "planned", plan };
}

function standingRefusal(
  image: FleetImage,
  standing: ImageStanding | null,
  { work }: Draft,
): Refusal | undefined {
  if (standing === null) return undefined;
  return refuseStanding(
    image,
    standing,
    work.map(site => site.baselineBefore),
  );
}

type Selection =
  | {
      readonly kind: "selected";
      /** In the order of their names. */
      readonly sites: readonly FleetSite[];
      readonly machines: readonly FleetMachine[];
      readonly machineName: string | undefined;
    }
  | Refusal;

function selectSites(request: PlanRequest, fleet: Fleet): Selection {
  const selector = parseSelector(request.selector);
  if (selector.kind === "refused") return selector;
  let sites = fleet.sites.filter(selector.matches).sort((one, other) => (one.name < other.name ? -1 : 1));
  if (sites.length === 0) {
    const names = fleet.sites.map(site => site.name).join(", ");
    return refuse(
      "rollout.refused",
      `the selector "${request.selector}" matches none of ${fleet.sites.length} sites${names === "" ? "" : ` (${names})`}`,
      "See the sites' names and labels: drp sites list -o json",
    );
  }
  let { machines } = fleet;
  let machineName: string | undefined;
  if (request.machine !== undefined) {
    const only = machines.find(({ id, name }) => name === request.machine || id === request.machine);
    if (only === undefined) {
      const advice = "See which there are: drp machines list";
      return refuse("machine.unknown", `no machine has the id or name ${request.machine}`, advice);
    }
    sites = sites.filter(site => site.id === only.siteId);
    if (sites.length === 0) {
      const reason = `${only.name} is in none of the sites that the selector "${request.selector}" matches`;
      return refuse("rollout.refused", reason, "Leave the selector out: the machine's name says enough.");
    }
    machines = [only];
    machineName = only.name;
  }
  const invited = sites.find(site => site.membership?.kind === "invited");
  if (invited !== undefined) {
    return refuse(
      "site.not-joined",
      `site ${invited.name} has never joined: nothing can reach its machines`,
      `Let it join with: drp site join; or leave it out with: --selector 'site!=${invited.name}'`,
    );
  }
  for (const open of fleet.openRollouts) {
    if (isEnded(open.state)) continue;
    const taken = new Set(open.plan.waves.flatMap(wave => wave.sites.map(site => site.siteId)));
    const shared = sites.filter(site => taken.has(site.id));
    if (shared.length > 0) return refuseOverlap(open, shared);
  }
  return { kind: "selected", sites, machines, machineName };
}

function refuseOverlap(open: RolloutRecord, shared: readonly FleetSite[]): Refusal {
  return refuse(
    "rollout.conflict",
    `rollout ${open.id} (${open.plan.imageName}) is ${open.state.kind} over ${shared.map(site => site.name).join(", ")}`,
    `Wait for it (drp rollout watch ${open.id}), or end it: drp rollout rollback ${open.id}`,
  );
}

interface Draft {
  readonly work: PlannedSite[];
  /** Sites whose machines all run the image already. */
  readonly current: PlannedSite[];
  readonly deferred: Deferred[];
}

/** Puts one site's machines where they belong in the draft. */
function sortSite(
  site: FleetSite,
  fleetMachines: readonly FleetMachine[],
  image: FleetImage,
  strategy: Strategy,
  images: Fleet["images"],
  draft: Draft,
): Refusal | undefined {
  const machines = fleetMachines
    .filter(machine => machine.siteId === site.id)
    .sort((one, other) => (one.name < other.name ? -1 : 1));
  const planned: PlannedMachine[] = [];
  let deferredHere = 0;
  for (const machine of machines) {
    const reason = reasonToDefer(machine, image);
    if (reason !== undefined || machine.running === null) {
      draft.deferred.push({ name: machine.name, reason: reason ?? "runs nothing" });
      deferredHere++;
      continue;
    }
    const from = machine.running.image;
    if (from === image.digest) continue;
    const refusal = refuseMachine(machine, from, image, strategy, images);
    if (refusal !== undefined) return refusal;
    planned.push({ machineId: machine.id, name: machine.name, from });
  }
  const entry = { siteId: site.id, name: site.name, baselineBefore: site.baseline, machines: planned };
  if (planned.length > 0) draft.work.push(entry);
  else if (machines.length === 0) draft.deferred.push({ name: site.name, reason: "the site has no machine" });
  else if (deferredHere === 0) draft.current.push(entry);
  return undefined;
}

/** Why a machine has to wait for its site's baseline instead, or undefined. */
function reasonToDefer(
  { name, state, running, denied }: FleetMachine,
  image: FleetImage,
): string | undefined {
  const denial = denied.find(entry => entry.image === image.digest);
  if (denial !== undefined) return `${nameOf(image)} is denied on it: ${denial.reason}`;
  switch (state.kind) {
    case "healthy":
    case "unhealthy":
      return running === null ? "has not reported yet" : undefined;
    case "expected":
    case "discovered":
      return `was never installed; order it with: drp machines install ${name}`;
    case "assigned":
    case "installing":
    case "booting":
      return "is being installed";
    case "install-failed":
    case "quarantined":
      return `${state.kind}: ${state.reason}`;
  }
}

function refuseMachine(
  machine: FleetMachine,
  from: ImageDigest,
  image: FleetImage,
  strategy: Strategy,
  images: Fleet["images"],
): Refusal | undefined {
  const before = images.get(from);
  if (before === undefined) {
    return refuse(
      "rollout.refused",
      `${machine.name} runs ${shortDigest(from)}, which the registry no longer holds: there would be no image to go back to`,
      `Push that image again (drp images push), or reinstall ${machine.name} first.`,
    );
  }
  const architecture = machine.inventory?.architecture ?? before.architecture;
  if (architecture !== image.architecture) {
    return refuse(
      "image.wrong-architecture",
      `${nameOf(image)} is built for ${image.architecture}, ${machine.name} is ${architecture}`,
      `Build and push the image for ${architecture}, or choose the sites with --selector.`,
    );
  }
  return refuseFit(machine, before, image, strategy);
}

function refuseIdle(imageName: string, { current, deferred }: Draft): Refusal {
  const [first] = deferred;
  if (first === undefined) {
    const advice = "Nothing needs to be done; see drp machines list.";
    return refuse(
      "rollout.refused",
      `every machine of the ${current.length} selected sites runs ${imageName} already`,
      advice,
    );
  }
  const others = deferred.length === 1 ? "" : ` (and ${deferred.length - 1} more)`;
  return refuse(
    "rollout.refused",
    `no selected machine can be given ${imageName}: ${first.name} ${first.reason}${others}`,
    "Put that right first, or select other sites with --selector.",
  );
}

/** By a hash of seed and site: always the same for one seed, and other canaries for the next image. */
function inDrawnOrder(sites: readonly PlannedSite[], seed: string): PlannedSite[] {
  const lot = ({ siteId }: PlannedSite) => hash("sha256", `${seed}\n${siteId}`);
  return sites.toSorted((one, other) => (lot(one) < lot(other) ? -1 : 1));
}

function nameOf({ name, version }: FleetImage): string {
  return `${name}:${version}`;
}

function refuse(code: ErrorCode, reason: string, advice: string): Refusal {
  return { kind: "refused", code, reason, advice };
}
