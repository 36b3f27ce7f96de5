/**
 * The hub's desk for one site: reports become commits, commits become the site's view. The site that runs in the hub's own
 * process talks to it directly, sites elsewhere through the site channel. Reports that arrive together share the store's
 * transaction and its fsync.
 */
import { DrpError } from "../../../core/errors.ts";
import type { MacAddress } from "../../../core/mac.ts";
import type { EpochMs } from "../../../core/time.ts";
import type { SignedKeyList } from "../../../images/key-list.ts";
import type { ImageDigest } from "../../../images/manifest.ts";
import type { RolloutRecord } from "../../../rollout/rollout-record.ts";
import type { NewEvent, SiteRecord, Store, StoreChange } from "../../../store/ports.ts";
import type { HubLink, SiteMachine, SiteReport, SiteView } from "../../site/view.ts";
import type { NumberedReport } from "../../site-protocol.ts";
import { applySiteReport } from "../apply-report.ts";
import { severityOfBootEvent } from "../boot-event-severity.ts";
import { siteMachineOf } from "../build-site-view.ts";
import { imagesOfMachine, imagesOfRollout } from "../images-of-site.ts";
import type { MachineRecord } from "../machine-record.ts";

/** An operator's change may come between read and save; this many in a row do not happen. */
const MAX_TRIES = 8;
const PAGE_MACHINES = 500;
const PAGE_ROLLOUTS = 50;
/** How exactly it is known when a site was last heard of: each update is a commit. */
const SEEN_EVERY_MS = 10_000;

/** Changes, and for each of them the report that it comes from. */
interface Decided {
  readonly changes: StoreChange[];
  readonly causes: (SiteReport | undefined)[];
}

export class SiteDesk implements HubLink {
  readonly #store: Store;
  #site: SiteRecord;
  readonly #machines = new Map<string, SiteMachine>();
  /** By version. */
  readonly #keyLists = new Map<number, SignedKeyList>();
  /** By machine or rollout: the images that it may need here. */
  readonly #images = new Map<string, readonly ImageDigest[]>();
  #view: SiteView | undefined;
  #viewRevision: number;
  readonly #viewListeners = new Set<(view: SiteView) => void>();
  /** Commits of this desk: what the site itself reported is no news to it. */
  readonly #ownCommits = new WeakSet<readonly StoreChange[]>();
  #lastKeep: Promise<unknown> = Promise.resolve();
  #stopFollowing: () => void = () => {};

  private constructor(store: Store, site: SiteRecord, firstRevision: number) {
    this.#store = store;
    this.#site = site;
    this.#viewRevision = firstRevision;
  }

  /** @param firstRevision of the view; above those of an earlier desk of this site: the time does */
  static async open(store: Store, site: SiteRecord, firstRevision: number): Promise<SiteDesk> {
    const desk = new SiteDesk(store, site, firstRevision);
    const meanwhile: (readonly StoreChange[])[] = [];
    let follow = (changes: readonly StoreChange[]): void => void meanwhile.push(changes);
    desk.#stopFollowing = store.onCommitted(changes => follow(changes));
    await desk.#load();
    for (const changes of meanwhile) desk.#follow(changes);
    follow = changes => desk.#follow(changes);
    return desk;
  }

  get siteName(): string {
    return this.#site.name;
  }

  /** The newest report that is kept; 0 before the first, and for the site in the hub's own process. */
  get reportsKept(): number {
    return this.#site.membership?.kind === "joined" ? this.#site.membership.reportsKept : 0;
  }

  /** Rises with each change of the view. */
  get viewRevision(): number {
    return this.#viewRevision;
  }

  /** From now on the view's revision is above this one: a site knows it from a hub whose clock was ahead. */
  raiseRevision(known: number): void {
    this.#viewRevision = Math.max(this.#viewRevision, known + 1);
  }

  view(): SiteView {
    this.#view ??= {
      siteId: this.#site.id,
      siteName: this.#site.name,
      unknown: this.#site.unknown,
      keyLists: [...this.#keyLists.values()],
      machines: [...this.#machines.values()],
      keptImages: this.#keptImages(),
      timeZone: this.#site.timeZone,
      transferLimits: this.#site.transferLimits,
    };
    return this.#view;
  }

  #keptImages(): ImageDigest[] {
    const { baseline } = this.#site;
    return [...new Set([...(baseline === null ? [] : [baseline]), ...[...this.#images.values()].flat()])];
  }

  /** @returns how to stop listening */
  onViewChanged(listener: (view: SiteView) => void): () => void {
    this.#viewListeners.add(listener);
    return () => this.#viewListeners.delete(listener);
  }

  /** @throws {DrpError} name.taken when a new machine has an address or name of another; internal; storage.full */
  async report(reports: readonly SiteReport[]): Promise<SiteView> {
    await this.#commit(async () => this.#decide(reports), takenError);
    return this.view();
  }

  /**
   * Keeps what is new among the reports of a site elsewhere, once, in their order. `reportsKept` moves in the same commit.
   * A new machine that has another one's address is refused with an alarm: the site cannot mend it, and its later reports
   * must not wait for it.
   *
   * @throws {DrpError} site.not-joined; internal; storage.full
   */
  async keep(reports: readonly NumberedReport[], now: EpochMs): Promise<void> {
    const refused = new Set<SiteReport>();
    await this.#oneAfterAnother(() =>
      this.#commit(
        async () => {
          const unseen = reports.filter(({ seq }) => seq > this.reportsKept);
          const last = unseen.at(-1);
          if (last === undefined) return NOTHING;
          const { changes, causes } = await this.#decide(
            unseen.map(({ report }) => report),
            refused,
          );
          return {
            changes: [...changes, this.#siteChange({ reportsKept: last.seq, lastSeenAt: now })],
            causes,
          };
        },
        (change, cause) => {
          if (cause === undefined || refused.has(cause)) throw takenError(change);
          refused.add(cause);
        },
      ),
    );
  }

  /** Notes that the site is there, where that is not known well enough. */
  async markSeen(now: EpochMs): Promise<void> {
    await this.#oneAfterAnother(async () => {
      const { lastSeenAt } = this.#site;
      if (lastSeenAt !== null && now - lastSeenAt < SEEN_EVERY_MS) return;
      // Refused when somebody changes the site just now: the next sign of life comes soon enough.
      await this.#store.commit([this.#siteChange({ reportsKept: this.reportsKept, lastSeenAt: now })]);
    });
  }

  close(): void {
    this.#stopFollowing();
    this.#viewListeners.clear();
  }

  async #load(): Promise<void> {
    for (let after: string | undefined; ; ) {
      const from = after === undefined ? {} : { after };
      const page = await this.#store.listMachines({ siteId: this.#site.id, limit: PAGE_MACHINES, ...from });
      for (const machine of page) this.#keepMachine(machine);
      after = page.at(-1)?.name;
      if (page.length < PAGE_MACHINES) break;
    }
    for (let after: string | undefined; ; ) {
      const from = after === undefined ? {} : { after };
      const page = await this.#store.listRollouts({ onlyOpen: true, limit: PAGE_ROLLOUTS, ...from });
      for (const rollout of page) this.#keepRollout(rollout);
      after = page.at(-1)?.id;
      if (page.length < PAGE_ROLLOUTS) break;
    }
    for (const { version, signed } of await this.#store.listKeyLists()) this.#keyLists.set(version, signed);
    this.#site = (await this.#store.findSite(this.#site.id)) ?? this.#site;
  }

  #oneAfterAnother<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lastKeep.then(work);
    this.#lastKeep = done.catch(() => {});
    return done;
  }

  /** @param onTaken throws, or sees to it that the next decision avoids the change */
  async #commit(
    decide: () => Promise<Decided>,
    onTaken: (change: StoreChange | undefined, cause: SiteReport | undefined) => void,
  ): Promise<void> {
    for (let attempt = 1; attempt <= MAX_TRIES; ) {
      const { changes, causes } = await decide();
      if (changes.length === 0) return;
      this.#ownCommits.add(changes);
      const outcome = await this.#store.commit(changes);
      if (outcome.kind === "committed") return;
      if (outcome.reason === "taken") onTaken(changes[outcome.changeIndex], causes[outcome.changeIndex]);
      else attempt++;
    }
    throw new DrpError(
      "internal",
      `a report of site ${this.#site.name} met ${MAX_TRIES} other changes in a row`,
    );
  }

  /** Several reports of one machine build on each other. */
  async #decide(
    reports: readonly SiteReport[],
    refused: ReadonlySet<SiteReport> = new Set(),
  ): Promise<Decided> {
    const known = new Map<string, MachineRecord | undefined>();
    const decided: Decided = { changes: [], causes: [] };
    const add = (cause: SiteReport, change: StoreChange) => {
      decided.changes.push(change);
      decided.causes.push(cause);
    };
    for (const report of reports) {
      if (report.kind === "image-event") {
        add(report, { kind: "append-event", event: this.#imageEvent(report) });
        continue;
      }
      if (report.kind === "boot-event" || report.kind === "token-replayed") {
        add(report, { kind: "append-event", event: this.#wireEvent(report) });
        continue;
      }
      if (refused.has(report)) {
        add(report, { kind: "append-event", event: this.#refusal(report) });
        continue;
      }
      const { machineId } = report;
      const before = known.has(machineId) ? known.get(machineId) : await this.#findOwnMachine(machineId);
      const { machine, events } = applySiteReport(before, report, this.#site.id);
      if (machine !== undefined) {
        add(
          report,
          before === undefined
            ? { kind: "insert-machine", machine }
            : { kind: "update-machine", machine, expectedRevision: before.revision },
        );
      }
      for (const event of events) add(report, { kind: "append-event", event });
      known.set(machineId, machine ?? before);
    }
    return decided;
  }

  /** A site speaks for its own machines; what it says of another site's id is a new machine, whose id is then taken. */
  async #findOwnMachine(machineId: string): Promise<MachineRecord | undefined> {
    const machine = await this.#store.findMachine(machineId);
    return machine?.id === machineId && machine.siteId === this.#site.id ? machine : undefined;
  }

  #siteChange({ reportsKept, lastSeenAt }: { reportsKept: number; lastSeenAt: EpochMs }): StoreChange {
    const site = this.#site;
    if (site.membership?.kind !== "joined") {
      throw new DrpError("site.not-joined", `site ${site.name} has not joined`, {
        advice: "Make it a new token, and join again on its box with: drp site join",
      });
    }
    const membership = { ...site.membership, reportsKept };
    return {
      kind: "update-site",
      site: { ...site, membership, lastSeenAt, revision: site.revision + 1 },
      expectedRevision: site.revision,
    };
  }

  #wireEvent(report: Extract<SiteReport, { kind: "boot-event" | "token-replayed" }>): NewEvent {
    const { at, mac } = report;
    const whose = { at, mac, siteId: this.#site.id, machineId: this.#machineIdOf(mac) };
    if (report.kind === "boot-event") {
      return { ...whose, severity: severityOfBootEvent(report.event.kind), ...report.event };
    }
    return {
      ...whose,
      kind: "token.replayed",
      severity: "alarm",
      summary: `a boot token of ${mac} was presented a second time, from ${report.fromAddress}`,
      facts: { fromAddress: report.fromAddress },
    };
  }

  #imageEvent({ at, event }: Extract<SiteReport, { kind: "image-event" }>): NewEvent {
    const severity = event.kind === "image.transferred" ? "info" : "warning";
    return { at, siteId: this.#site.id, machineId: null, mac: null, severity, ...event };
  }

  #refusal(report: SiteReport): NewEvent {
    const mac = report.kind === "machine-registered" ? report.bootMac : null;
    return {
      at: report.at,
      mac,
      siteId: this.#site.id,
      machineId: null,
      kind: "machine.refused",
      severity: "alarm",
      summary: `a machine of ${this.#site.name} with ${mac} is refused: its id, name or address is another machine's`,
      facts: {},
    };
  }

  #machineIdOf(mac: MacAddress | null): string | null {
    if (mac === null) return null;
    for (const machine of this.#machines.values()) if (machine.macs.includes(mac)) return machine.id;
    return null;
  }

  #follow(changes: readonly StoreChange[]): void {
    // Every change is looked at, also after one that mattered.
    const touched = changes.filter(change => this.#apply(change));
    if (touched.length === 0) return;
    this.#view = undefined;
    this.#viewRevision++;
    if (this.#ownCommits.has(changes)) return;
    for (const listener of this.#viewListeners) listener(this.view());
  }

  /** @returns whether the view is another one now */
  #apply(change: StoreChange): boolean {
    switch (change.kind) {
      case "insert-machine":
      case "update-machine": {
        const { machine } = change;
        if (machine.siteId !== this.#site.id) return this.#forgetMachine(machine.id);
        return this.#keepMachine(machine);
      }
      case "delete-machine":
        return this.#forgetMachine(change.id);
      case "insert-rollout":
      case "update-rollout":
        return this.#keepRollout(change.rollout);
      case "insert-key-list":
        return replace(this.#keyLists, change.keyList.version, change.keyList.signed);
      case "update-site": {
        if (change.site.id !== this.#site.id) return false;
        const before = this.#site;
        this.#site = change.site;
        return !LOOKED_AT.every(key => JSON.stringify(before[key]) === JSON.stringify(change.site[key]));
      }
      default:
        return false;
    }
  }

  /** @returns whether that changed anything */
  #keepMachine(machine: MachineRecord): boolean {
    const changed = replace(this.#machines, machine.id, siteMachineOf(machine));
    return replace(this.#images, machine.id, imagesOfMachine(machine)) || changed;
  }

  #forgetMachine(id: string): boolean {
    this.#images.delete(id);
    return this.#machines.delete(id);
  }

  #keepRollout(rollout: RolloutRecord): boolean {
    const images = imagesOfRollout(rollout, this.#site.id);
    return images.length === 0 ? this.#images.delete(rollout.id) : replace(this.#images, rollout.id, images);
  }
}

/** What of a site's record is in its view. */
const LOOKED_AT = ["name", "unknown", "baseline", "timeZone", "transferLimits"] as const;

const NOTHING: Decided = { changes: [], causes: [] };

/** @returns whether that changed anything. Most reports of a machine change nothing that its site looks at. */
function replace<K, T>(map: Map<K, T>, key: K, value: T): boolean {
  if (JSON.stringify(map.get(key)) === JSON.stringify(value)) return false;
  map.set(key, value);
  return true;
}

function takenError(change: StoreChange | undefined): never {
  const machine = change?.kind === "insert-machine" ? change.machine : undefined;
  throw new DrpError(
    "name.taken",
    `another machine has the name ${machine?.name} or one of ${machine?.macs.join(", ")}`,
    {
      advice: "Find it with: drp machines show NAME-OR-MAC, and correct its entry.",
    },
  );
}
