/**
 * The line between the hub and the site that runs in the same process: reports become commits, commits become the
 * site's view. Reports that arrive together share the store's transaction and its fsync.
 */
import { applySiteReport } from "../../agent/hub/apply-report.ts";
import { siteMachineOf } from "../../agent/hub/build-site-view.ts";
import type { MachineRecord } from "../../agent/hub/machine-record.ts";
import type { HubLink, SiteMachine, SiteReport, SiteView } from "../../agent/site/view.ts";
import { DrpError } from "../../core/errors.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { NewEvent, SiteRecord, Store, StoreChange } from "../../store/ports.ts";

/** An operator's change may come between read and save; this many in a row do not happen. */
const MAX_TRIES = 8;
const PAGE_MACHINES = 500;

export class LocalHubLink implements HubLink {
  readonly #store: Store;
  #site: SiteRecord;
  readonly #machines: Map<string, SiteMachine>;
  #view: SiteView | undefined;
  readonly #viewListeners = new Set<(view: SiteView) => void>();
  /** Commits of this link: what the site itself reported is no news to it. */
  readonly #ownCommits = new WeakSet<readonly StoreChange[]>();

  private constructor(store: Store, site: SiteRecord, machines: readonly MachineRecord[]) {
    this.#store = store;
    this.#site = site;
    this.#machines = new Map(machines.map(machine => [machine.id, siteMachineOf(machine)]));
    store.onCommitted(changes => this.#follow(changes));
  }

  static async open(store: Store, site: SiteRecord): Promise<LocalHubLink> {
    const machines: MachineRecord[] = [];
    for (let after: string | undefined; ; ) {
      const from = after === undefined ? {} : { after };
      const page = await store.listMachines({ siteId: site.id, limit: PAGE_MACHINES, ...from });
      machines.push(...page);
      after = page.at(-1)?.name;
      if (page.length < PAGE_MACHINES) return new LocalHubLink(store, site, machines);
    }
  }

  view(): SiteView {
    this.#view ??= {
      siteId: this.#site.id,
      siteName: this.#site.name,
      unknown: this.#site.unknown,
      machines: [...this.#machines.values()],
    };
    return this.#view;
  }

  onViewChanged(listener: (view: SiteView) => void): void {
    this.#viewListeners.add(listener);
  }

  /** @throws {DrpError} name.taken when a new machine has an address or name of another; internal; storage.full */
  async report(reports: readonly SiteReport[]): Promise<SiteView> {
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const changes = await this.#changesOf(reports);
      if (changes.length === 0) return this.view();
      this.#ownCommits.add(changes);
      const outcome = await this.#store.commit(changes);
      if (outcome.kind === "committed") return this.view();
      if (outcome.reason === "taken") throw takenError(changes[outcome.changeIndex]);
    }
    throw new DrpError(
      "internal",
      `a report of site ${this.#site.name} met ${MAX_TRIES} other changes in a row`,
    );
  }

  /** Several reports of one machine build on each other. */
  async #changesOf(reports: readonly SiteReport[]): Promise<StoreChange[]> {
    const known = new Map<string, MachineRecord | undefined>();
    const changes: StoreChange[] = [];
    for (const report of reports) {
      if (report.kind === "boot-event" || report.kind === "token-replayed") {
        changes.push({ kind: "append-event", event: this.#wireEvent(report) });
        continue;
      }
      const { machineId } = report;
      const before = known.has(machineId) ? known.get(machineId) : await this.#store.findMachine(machineId);
      const { machine, events } = applySiteReport(before, report, this.#site.id);
      if (machine !== undefined) {
        changes.push(
          before === undefined
            ? { kind: "insert-machine", machine }
            : { kind: "update-machine", machine, expectedRevision: before.revision },
        );
      }
      changes.push(...events.map(event => ({ kind: "append-event", event }) as const));
      known.set(machineId, machine ?? before);
    }
    return changes;
  }

  #wireEvent(report: Extract<SiteReport, { kind: "boot-event" | "token-replayed" }>): NewEvent {
    const { at, mac } = report;
    const whose = { at, mac, siteId: this.#site.id, machineId: this.#machineIdOf(mac) };
    if (report.kind === "boot-event") return { ...whose, severity: "info", ...report.event };
    return {
      ...whose,
      kind: "token.replayed",
      severity: "alarm",
      summary: `a boot token of ${mac} was presented a second time, from ${report.fromAddress}`,
      facts: { fromAddress: report.fromAddress },
    };
  }

  #machineIdOf(mac: MacAddress): string | null {
    for (const machine of this.#machines.values()) if (machine.macs.includes(mac)) return machine.id;
    return null;
  }

  #follow(changes: readonly StoreChange[]): void {
    const touched = changes.filter(change => this.#apply(change));
    if (touched.length === 0) return;
    this.#view = undefined;
    if (this.#ownCommits.has(changes)) return;
    for (const listener of this.#viewListeners) listener(this.view());
  }

  /** @returns whether the change may concern this site's view */
  #apply(change: StoreChange): boolean {
    switch (change.kind) {
      case "insert-machine":
      case "update-machine":
        if (change.machine.siteId !== this.#site.id) return this.#machines.delete(change.machine.id);
        this.#machines.set(change.machine.id, siteMachineOf(change.machine));
        return true;
      case "delete-machine":
        return this.#machines.delete(change.id);
      case "update-site":
        if (change.site.id !== this.#site.id) return false;
        this.#site = change.site;
        return true;
      default:
        return false;
    }
  }
}

function takenError(change: StoreChange | undefined): DrpError {
  const machine = change?.kind === "insert-machine" ? change.machine : undefined;
  return new DrpError(
    "name.taken",
    `another machine has the name ${machine?.name} or one of ${machine?.macs.join(", ")}`,
    {
      advice: "Find it with: drp machines show NAME-OR-MAC, and correct its entry.",
    },
  );
}
