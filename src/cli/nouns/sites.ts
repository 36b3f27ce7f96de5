/** `drp sites …` */
import { Option } from "commander";
import { createdSiteSchema, type Site, siteSchema } from "../../api/wire.ts";
import {
  type BandwidthWindow,
  type Budget,
  formatBudget,
  formatRate,
  formatWindow,
} from "../../core/line-limits.ts";
import { type Cli, firstArgument } from "../cli.ts";
import { eventLine, eventTone } from "../format/event-view.ts";
import type { Column } from "../format/table.ts";
import { formatAge, formatTime } from "../format/words.ts";
import { readImageEvents } from "../image-events.ts";
import { readImageNames } from "../image-names.ts";
import { collectWindow, type None, orNull, readBudget, readRate } from "../line-limit-options.ts";
import { collectLabel, parseCount } from "../options.ts";

/** The newest of what came over the line, or did not. */
const SHOWN_TRANSFERS = 5;
const UNKNOWN_POLICIES = ["discover", "disk", "silent"];

export function addSites(cli: Cli): void {
  const sites = cli.root.command("sites").description("places where machines stand");

  cli.on(sites.command("list").description("every site with its machines"), async ({ context }) => {
    const [items, nameOf] = await Promise.all([
      context.api().list("/sites", siteSchema),
      readImageNames(context),
    ]);
    context.out.list(
      items,
      columns(context.now(), nameOf),
      "No sites yet. `drp serve` makes the first one, named local.",
    );
  });

  cli.on(sites.command("show").argument("<site>").description("one site"), async call => {
    const [site, nameOf] = await Promise.all([
      call.context.api().get(sitePath(firstArgument(call)), siteSchema),
      readImageNames(call.context),
    ]);
    const { out } = call.context;
    out.record(site, fields(site, call.context.now(), nameOf));
    if (out.device.format !== "table") return;
    for (const event of await readImageEvents(call.context, site.id, SHOWN_TRANSFERS)) {
      out.line(event, `  ${eventLine(event)}`, eventTone(event));
    }
  });

  const create = sites
    .command("create")
    .argument("<name>")
    .description("invite a site that joins from elsewhere; its token is shown once")
    .addOption(
      new Option("--unknown <policy>", "what a machine gets that nobody has entered").choices(
        UNKNOWN_POLICIES,
      ),
    )
    .option("--label <key=value>", "(repeatable)", collectLabel)
    .option("--token-expires-in-hours <hours>", "(default: 24)", parseCount);
  cli.on<{ unknown?: string; label?: Record<string, string>; tokenExpiresInHours?: number }>(
    create,
    async call => {
      const { unknown, label, tokenExpiresInHours } = call.options;
      const body = { name: firstArgument(call), unknown, labels: label, tokenExpiresInHours };
      const created = await call.context.api().post("/sites", body, createdSiteSchema);
      call.context.out.done(created, created.joinToken);
      const steps = joinSteps(created.site.name, created.joinToken, call.context.api().endpoint);
      for (const step of steps) call.context.out.remark(step);
    },
  );

  const update = sites
    .command("update")
    .argument("<site>")
    .description("change what a site does")
    .addOption(
      new Option("--unknown <policy>", "what a machine gets that nobody has entered").choices(
        UNKNOWN_POLICIES,
      ),
    )
    .option("--label <key=value>", "set the labels to these (repeatable)", collectLabel)
    .option("--time-zone <zone>", "of the windows and the budget: Europe/Berlin")
    .option("--bandwidth <rate>", "how fast images may come: 10Mbit/s; none: as fast as the line", readRate)
    .option(
      "--bandwidth-window <window>",
      "another rate at times of the day: 08:00-20:00=1Mbit/s (repeatable); none: no window",
      collectWindow,
    )
    .option("--budget <bytes>", "how much may come: 20GB/month, 500MB/day; none: no budget", readBudget);
  cli.on<UpdateFlags>(update, async call => {
    const api = call.context.api();
    const path = sitePath(firstArgument(call));
    const before = await api.get(path, siteSchema);
    const { unknown, label, timeZone, bandwidth, bandwidthWindow, budget } = call.options;
    const current = before.transferLimits.bandwidth;
    const limit = {
      bitsPerSecond: bandwidth === undefined ? current.bitsPerSecond : orNull(bandwidth),
      windows: bandwidthWindow ?? current.windows,
    };
    const changesLimit = bandwidth !== undefined || bandwidthWindow !== undefined;
    const change = {
      unknown,
      labels: label,
      timeZone,
      bandwidth: changesLimit ? limit : undefined,
      budget: budget === undefined ? undefined : orNull(budget),
    };
    const site = await api.patch(path, change, before.revision, siteSchema);
    call.context.out.done(site, `site ${site.name} updated`);
  });
}

interface UpdateFlags {
  readonly unknown?: string;
  readonly label?: Record<string, string>;
  readonly timeZone?: string;
  readonly bandwidth?: number | None;
  readonly bandwidthWindow?: readonly BandwidthWindow[];
  readonly budget?: Budget | None;
}

const sitePath = (site: string) => `/sites/${encodeURIComponent(site)}`;

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/** What to run at the site. A hub that we reach over loopback has another name there. */
function joinSteps(name: string, joinToken: string, endpoint: URL): string[] {
  const isLoopback = LOOPBACK.includes(endpoint.hostname);
  const hub = isLoopback ? `https://HUB:${endpoint.port || 443}` : endpoint.origin;
  return [
    `keep the token, it is not shown again; at ${name} run:`,
    `  drp site join ${joinToken} --hub ${hub} --config site.yaml`,
    "  drp site run --config site.yaml",
    ...(isLoopback ? ["HUB is this host's address as the site sees it"] : []),
  ];
}

function columns(now: number, nameOf: (digest: string) => string): Column<Site>[] {
  return [
    { title: "NAME", cell: site => site.name },
    {
      title: "MEMBERSHIP",
      cell: site => site.membership,
      tone: site => (site.membership === "invited" ? "busy" : "plain"),
    },
    { title: "MACHINES", cell: site => machinesText(site) },
    { title: "BASELINE", cell: site => baselineText(site, nameOf), dropFirst: 1 },
    { title: "LAST SEEN", cell: site => lastSeenText(site, now), dropFirst: 2 },
    { title: "UNKNOWN MACHINES", cell: site => site.unknown, dropFirst: 5 },
    { title: "LABELS", cell: site => labelsText(site.labels), dropFirst: 3 },
    { title: "CREATED", cell: site => formatAge(site.createdAt, now), dropFirst: 6 },
  ];
}

function fields(site: Site, now: number, nameOf: (digest: string) => string): [string, string][] {
  return [
    ["Name", site.name],
    ["Id", site.id],
    ["Membership", MEMBERSHIP_TEXT[site.membership]],
    ["Last seen", lastSeenText(site, now)],
    ["Baseline", baselineText(site, nameOf)],
    ["Machines", machinesText(site)],
    ["Unknown machines", site.unknown],
    ["Images over its line", limitsText(site)],
    ["Labels", labelsText(site.labels) || "-"],
    ["Created", formatTime(site.createdAt)],
  ];
}

const MEMBERSHIP_TEXT: Record<Site["membership"], string> = {
  local: "local: the hub runs it itself",
  invited: "invited: has not joined yet",
  joined: "joined",
};

function lastSeenText(site: Site, now: number): string {
  return site.membership === "local" ? "-" : formatAge(site.lastSeenAt, now);
}

function baselineText({ baseline }: Site, nameOf: (digest: string) => string): string {
  return baseline === null ? "-" : nameOf(baseline);
}

/** "3: 2 healthy, 1 installing" */
function machinesText(site: Site): string {
  const counts = Object.entries(site.machines).filter(([, count]) => count > 0);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  return total === 0 ? "0" : `${total}: ${counts.map(([kind, count]) => `${count} ${kind}`).join(", ")}`;
}

/** "10 Mbit/s, 08:00-20:00 1 Mbit/s, 20 GB a month (Europe/Berlin)" */
function limitsText({ transferLimits: { bandwidth, budget }, timeZone }: Site): string {
  const { bitsPerSecond, windows } = bandwidth;
  const parts = [
    bitsPerSecond === null ? "as fast as it is" : formatRate(bitsPerSecond),
    ...windows.map(formatWindow),
    ...(budget === null ? [] : [formatBudget(budget)]),
  ];
  return windows.length === 0 && budget === null ? parts.join(", ") : `${parts.join(", ")} (${timeZone})`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}
