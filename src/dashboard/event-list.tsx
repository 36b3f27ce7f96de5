import type { Event, Machine } from "../api/wire.ts";
import { clockTime, dayAndTime } from "./words.ts";

interface Props {
  readonly events: readonly Event[];
  readonly machines: readonly Machine[];
  readonly now: number;
  readonly onOpen: (id: string) => void;
}

const SHOWN_EVENTS = 25;

/** Alarms first, because somebody must act on them; then the newest of everything. */
export function EventList({ events, machines, onOpen }: Props) {
  const newestFirst = events.toReversed();
  const alarms = newestFirst.filter(event => event.severity === "alarm").slice(0, 5);
  const others = newestFirst.filter(event => !alarms.includes(event)).slice(0, SHOWN_EVENTS);
  const line = (event: Event) => (
    <Line
      key={event.id}
      event={event}
      machine={machines.find(({ id }) => id === event.machineId)}
      onOpen={onOpen}
    />
  );
  return (
    <section aria-labelledby="events-title">
      <h2 id="events-title">Events</h2>
      <div class="card">
        {alarms.length > 0 && (
          <ul class="events alarms" aria-label="Alarms">
            {alarms.map(line)}
          </ul>
        )}
        {events.length === 0 ? (
          <p class="quiet">Nothing has happened yet.</p>
        ) : (
          <ul class="events" aria-label="Newest events">
            {others.map(line)}
          </ul>
        )}
      </div>
    </section>
  );
}

/** " is healthy", ": writing", " offered …": what follows the machine's name, whether the summary begins with it or not. */
function withoutName(summary: string, name: string): string {
  const rest = summary.startsWith(name) ? summary.slice(name.length) : "";
  return /^[ :]/.test(rest) ? rest : ` ${summary}`;
}

interface LineProps {
  readonly event: Event;
  readonly machine: Machine | undefined;
  readonly onOpen: (id: string) => void;
}

function Line({ event, machine, onOpen }: LineProps) {
  return (
    <li class={event.severity}>
      <time dateTime={new Date(event.at).toISOString()} title={dayAndTime(event.at)}>
        {clockTime(event.at)}
      </time>
      <span>
        {event.severity !== "info" && <strong>{event.severity}: </strong>}
        {machine !== undefined && (
          <button type="button" class="link" onClick={() => onOpen(machine.id)}>
            {machine.name}
          </button>
        )}
        {machine === undefined ? event.summary : withoutName(event.summary, machine.name)}
      </span>
    </li>
  );
}
