/** `drp why MACHINE`: its state and the reason for it, what it should run and may not run, then what led there. */
import { type Event, eventSchema, type Machine } from "../../api/wire.ts";
import { type Cli, type CliContext, firstArgument } from "../cli.ts";
import { eventLine, eventTone } from "../format/event-view.ts";
import { stateTone, targetText } from "../format/machine-view.ts";
import { formatAge, formatTime, stateReason, stateText } from "../format/words.ts";
import { readImageEvents } from "../image-events.ts";
import { readImageNames } from "../image-names.ts";
import { findMachine } from "../machine-reference.ts";
import { parseCount } from "../options.ts";

const DEFAULT_EVENTS = 100;
/** A transfer says little: this is weeks of them. */
const SITE_EVENTS = 50;

export function addWhy(cli: Cli): void {
  const why = cli.root
    .command("why")
    .argument("<machine>", "name, id or MAC")
    .description("why a machine is in its state: its timeline, newest last")
    .option("--limit <count>", "how many events", parseCount, DEFAULT_EVENTS);
  cli.on<{ limit: number }>(why, async call => {
    const { context, options } = call;
    const [machine, nameOf] = await Promise.all([
      findMachine(context, firstArgument(call)),
      readImageNames(context),
    ]);
    const query = { machine: machine.id, from: "newest", limit: options.limit };
    const events = await context.api().list("/events", eventSchema, query, options.limit);
    if (context.out.device.format !== "table") {
      const { name, state, target, denied } = machine;
      const update = machine.running?.update ?? null;
      context.out.record({ machine: name, state, target, update, denied, events }, []);
      return;
    }
    const reason = stateReason(machine.state);
    const seen = `last seen ${formatAge(machine.lastSeenAt, context.now())}`;
    context.out.line(
      machine,
      `${machine.name} is ${stateText(machine.state)}${reason === "" ? "" : `: ${reason}`} (${seen})`,
      stateTone(machine.state.kind),
    );
    if (machine.target !== null)
      context.out.line(machine, `  should run ${targetText(machine, nameOf)}`, "busy");
    const reasonOfUpdate = machine.running?.update?.reason ?? "";
    if (reasonOfUpdate !== "") context.out.line(machine, `  last update: ${reasonOfUpdate}`, "bad");
    for (const { image, reason: why, at } of machine.denied) {
      context.out.line(machine, `  never gets ${nameOf(image)} again since ${formatTime(at)}: ${why}`, "bad");
    }
    for (const event of await eventsOfItsImages(context, machine)) {
      context.out.line(event, `  ${eventLine(event)}`, eventTone(event));
    }
    for (const event of events) context.out.line(event, `  ${eventLine(event)}`, eventTone(event));
    if (events.length === 0)
      context.out.remark("Nothing is known of it yet: it has not been on the network.");
  });
}

/** How the image that it runs or is to get came to its site, or why it does not. */
async function eventsOfItsImages(context: CliContext, machine: Machine): Promise<Event[]> {
  const { state, target, siteId } = machine;
  const images = [target?.image, "intent" in state ? state.intent.image : undefined, machine.running?.image];
  if (images.every(image => image === undefined)) return [];
  const events = await readImageEvents(context, siteId, SITE_EVENTS);
  return events.filter(({ facts }) => images.some(image => image !== undefined && image === facts.image));
}
