/** `drp events …` */
import type { Command } from "commander";
import { eventSchema, siteSchema } from "../../api/wire.ts";
import type { Query } from "../api-client.ts";
import type { Cli, CliContext } from "../cli.ts";
import { eventColumns, eventLine, eventTone } from "../format/event-view.ts";
import { findMachine } from "../machine-reference.ts";
import { parseCount } from "../options.ts";

const DEFAULT_EVENTS = 50;

interface Filter {
  readonly machine?: string;
  readonly site?: string;
  readonly kind?: string;
}

export function addEvents(cli: Cli): void {
  const events = cli.root.command("events").description("everything that happened, each with its reason");

  const list = withFilter(events.command("list").description("the newest events, newest last")).option(
    "--limit <count>",
    "how many",
    parseCount,
    DEFAULT_EVENTS,
  );
  cli.on<Filter & { limit: number }>(list, async ({ context, options }) => {
    const query = { ...(await eventQuery(context, options)), from: "newest", limit: options.limit };
    const items = await context.api().list("/events", eventSchema, query, options.limit);
    context.out.list(items, eventColumns, "Nothing has happened yet.");
  });

  cli.on<Filter>(
    withFilter(events.command("watch").description("events as they happen, until interrupted")),
    async call => {
      const { context } = call;
      const query = await eventQuery(context, call.options);
      const onState = (connected: boolean) => {
        if (!connected) context.out.remark("the connection broke; connecting again");
      };
      for await (const event of context.api().watchEvents(query, context.interrupted, onState)) {
        context.out.line(event, eventLine(event), eventTone(event));
      }
    },
  );
}

function withFilter(command: Command): Command {
  return command
    .option("--machine <machine>", "only of this machine")
    .option("--site <site>", "only of this site")
    .option("--kind <kind>", "only of this kind, or of those that begin so: image.");
}

async function eventQuery(context: CliContext, filter: Filter): Promise<Query> {
  const [machine, site] = await Promise.all([
    filter.machine === undefined ? undefined : findMachine(context, filter.machine),
    filter.site === undefined
      ? undefined
      : context.api().get(`/sites/${encodeURIComponent(filter.site)}`, siteSchema),
  ]);
  return { machine: machine?.id, site: site?.id, kind: filter.kind };
}
