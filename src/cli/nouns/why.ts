/** `drp why MACHINE`: its state and the reason for it, then what led there. */
import { eventSchema } from "../../api/wire.ts";
import { type Cli, firstArgument } from "../cli.ts";
import { eventLine, eventTone } from "../format/event-view.ts";
import { stateTone } from "../format/machine-view.ts";
import { formatAge, stateReason, stateText } from "../format/words.ts";
import { findMachine } from "../machine-reference.ts";
import { parseCount } from "../options.ts";

const DEFAULT_EVENTS = 100;

export function addWhy(cli: Cli): void {
  const why = cli.root
    .command("why")
    .argument("<machine>", "name, id or MAC")
    .description("why a machine is in its state: its timeline, newest last")
    .option("--limit <count>", "how many events", parseCount, DEFAULT_EVENTS);
  cli.on<{ limit: number }>(why, async call => {
    const { context, options } = call;
    const machine = await findMachine(context, firstArgument(call));
    const query = { machine: machine.id, from: "newest", limit: options.limit };
    const events = await context.api().list("/events", eventSchema, query, options.limit);
    if (context.out.device.format !== "table") {
      context.out.record({ machine: machine.name, state: machine.state, events }, []);
      return;
    }
    const reason = stateReason(machine.state);
    const seen = `last seen ${formatAge(machine.lastSeenAt, context.now())}`;
    context.out.line(
      machine,
      `${machine.name} is ${stateText(machine.state)}${reason === "" ? "" : `: ${reason}`} (${seen})`,
      stateTone(machine.state.kind),
    );
    for (const event of events) context.out.line(event, `  ${eventLine(event)}`, eventTone(event));
    if (events.length === 0)
      context.out.remark("Nothing is known of it yet: it has not been on the network.");
  });
}
