/** A hub in memory: the real rules for reports and views, without storage. What a site sees of a hub that keeps up. */
import { applySiteReport } from "../../src/agent/hub/apply-report.ts";
import { siteMachineOf } from "../../src/agent/hub/build-site-view.ts";
import type { MachineRecord } from "../../src/agent/hub/machine-record.ts";
import type { HubLink, SiteReport, SiteView, UnknownPolicy } from "../../src/agent/site/view.ts";
import { NO_LIMITS } from "../../src/images/transfer-limits.ts";

export class MemoryHub implements HubLink {
  readonly machines = new Map<string, MachineRecord>();
  readonly reports: SiteReport[] = [];
  unknown: UnknownPolicy = "discover";

  view(): SiteView {
    return {
      siteId: "s-1",
      siteName: "local",
      unknown: this.unknown,
      keyLists: [],
      machines: [...this.machines.values()].map(siteMachineOf),
      keptImages: [],
      timeZone: "UTC",
      transferLimits: NO_LIMITS,
    };
  }

  async report(reports: readonly SiteReport[]): Promise<SiteView> {
    for (const report of reports) {
      this.reports.push(report);
      if (report.kind === "boot-event" || report.kind === "image-event" || report.kind === "token-replayed")
        continue;
      const { machine } = applySiteReport(this.machines.get(report.machineId), report, "s-1");
      if (machine !== undefined) this.machines.set(machine.id, machine);
    }
    return this.view();
  }

  onViewChanged(): void {}

  /** Changes a record as an operator would. */
  set(machine: MachineRecord): void {
    this.machines.set(machine.id, machine);
  }
}
