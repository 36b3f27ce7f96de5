/** `drp sites …` */
import { Option } from "commander";
import { type Site, siteSchema } from "../../api/wire.ts";
import { type Cli, firstArgument } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { formatAge, formatTime } from "../format/words.ts";
import { collectLabel } from "../options.ts";

export function addSites(cli: Cli): void {
  const sites = cli.root.command("sites").description("places where machines stand");

  cli.on(sites.command("list").description("every site with its machines"), async ({ context }) => {
    const items = await context.api().list("/sites", siteSchema);
    context.out.list(
      items,
      columns(context.now()),
      "No sites yet. `drp serve` makes the first one, named local.",
    );
  });

  cli.on(sites.command("show").argument("<site>").description("one site"), async call => {
    const site = await call.context.api().get(sitePath(firstArgument(call)), siteSchema);
    call.context.out.record(site, fields(site));
  });

  const update = sites
    .command("update")
    .argument("<site>")
    .description("change what a site does")
    .addOption(
      new Option("--unknown <policy>", "what a machine gets that nobody has entered").choices([
        "discover",
        "disk",
        "silent",
      ]),
    )
    .option("--label <key=value>", "set the labels to these (repeatable)", collectLabel);
  cli.on<{ unknown?: string; label?: Record<string, string> }>(update, async call => {
    const api = call.context.api();
    const path = sitePath(firstArgument(call));
    const before = await api.get(path, siteSchema);
    const change = { unknown: call.options.unknown, labels: call.options.label };
    const site = await api.patch(path, change, before.revision, siteSchema);
    call.context.out.done(site, `site ${site.name} updated`);
  });
}

const sitePath = (site: string) => `/sites/${encodeURIComponent(site)}`;

function columns(now: number): Column<Site>[] {
  return [
    { title: "NAME", cell: site => site.name },
    { title: "MACHINES", cell: site => machinesText(site) },
    { title: "UNKNOWN MACHINES", cell: site => site.unknown, dropFirst: 1 },
    { title: "LABELS", cell: site => labelsText(site.labels), dropFirst: 2 },
    { title: "CREATED", cell: site => formatAge(site.createdAt, now), dropFirst: 3 },
  ];
}

function fields(site: Site): [string, string][] {
  return [
    ["Name", site.name],
    ["Id", site.id],
    ["Machines", machinesText(site)],
    ["Unknown machines", site.unknown],
    ["Labels", labelsText(site.labels)],
    ["Created", formatTime(site.createdAt)],
  ];
}

/** "3: 2 healthy, 1 installing" */
function machinesText(site: Site): string {
  const counts = Object.entries(site.machines).filter(([, count]) => count > 0);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  return total === 0 ? "0" : `${total}: ${counts.map(([kind, count]) => `${count} ${kind}`).join(", ")}`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}
