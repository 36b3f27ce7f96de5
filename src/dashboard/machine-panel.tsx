import { useEffect, useRef, useState } from "preact/hooks";
import type { Event, Machine } from "../api/wire.ts";
import { formatBytes } from "../core/bytes.ts";
import { formatDuration } from "../core/time.ts";
import { getTimeline } from "./api.ts";
import { Boots } from "./boots.tsx";
import { addressOf, type Fleet, imagesOf } from "./fleet.ts";
import { StatePill } from "./pill.tsx";
import { age, clockTime, dayAndTime, stateReason } from "./words.ts";

interface Props {
  readonly fleet: Fleet;
  readonly machine: Machine;
  readonly now: number;
  readonly onClose: () => void;
}

/** One machine: its state and the reason, what it is, and everything that led there. */
export function MachinePanel({ fleet, machine, now, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const events = useTimeline(fleet, machine.id);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a click beside the panel; Escape closes every dialog
    <dialog
      ref={dialog}
      class="panel"
      aria-labelledby="panel-title"
      onClose={onClose}
      onClick={event => event.target === event.currentTarget && event.currentTarget.close()}
    >
      <div class="panel-body">
        <div class="row">
          <h2 id="panel-title">{machine.name}</h2>
          <button type="button" class="plain" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </div>
        <p class="panel-state">
          <StatePill kind={machine.state.kind} /> {stateReason(machine.state)}
        </p>
        <Facts fleet={fleet} machine={machine} now={now} />
        <Health machine={machine} />
        <h3>Boots</h3>
        <Boots machineId={machine.id} newestEventId={events?.at(-1)?.id ?? 0} now={now} />
        <h3>Timeline</h3>
        <Timeline events={events} />
      </div>
    </dialog>
  );
}

function Facts({ fleet, machine, now }: Omit<Props, "onClose">) {
  const { running, coming } = imagesOf(fleet, machine);
  const { inventory } = machine;
  const facts: [string, string][] = [
    ["Image", [running, coming].filter(Boolean).join(" → ") || "none"],
    ["Slot", machine.running?.slot ?? "–"],
    ["Last seen", age(machine.lastSeenAt, now)],
    ["Up for", machine.running === null ? "–" : formatDuration(machine.running.uptimeSeconds * 1000)],
    ["Site", machine.siteName],
    ["Address", addressOf(fleet, machine) ?? "–"],
    ["MAC", machine.macs.join(", ")],
  ];
  if (inventory !== null) {
    const maker = [inventory.dmi.vendor, inventory.dmi.product].filter(Boolean).join(" ");
    facts.push(["Hardware", `${maker || "unnamed"}, ${inventory.architecture}, ${inventory.firmware}`]);
    facts.push(["Memory", `${formatBytes(inventory.memoryBytes)}, ${inventory.cpu.threads} threads`]);
    facts.push([
      "Disks",
      inventory.disks.map(disk => `${disk.path} ${formatBytes(disk.sizeBytes)}`).join(", "),
    ]);
  }
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Health({ machine }: { machine: Machine }) {
  const health = machine.running?.health ?? [];
  if (health.length === 0) return null;
  return (
    <>
      <h3>Health checks</h3>
      <ul class="checks">
        {health.map(result => (
          <li key={result.name}>
            <span
              class={`pill ${result.status === "pass" ? "good" : result.status === "fail" ? "bad" : "quiet"}`}
            >
              {result.status.replace("-", " ")}
            </span>{" "}
            {result.name} <span class="quiet">{result.detail}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Timeline({ events }: { events: readonly Event[] | undefined }) {
  if (events === undefined) return <p class="quiet">Reading…</p>;
  if (events.length === 0) {
    return <p class="quiet">Nothing is known of it yet: it has not been on the network.</p>;
  }
  return (
    <ol class="timeline" reversed>
      {events.toReversed().map(event => (
        <li key={event.id} class={event.severity}>
          <time dateTime={new Date(event.at).toISOString()} title={dayAndTime(event.at)}>
            {clockTime(event.at)}
          </time>
          <span>
            {event.severity !== "info" && <strong>{event.severity}: </strong>}
            {event.summary} <span class="kind">{event.kind}</span>
          </span>
        </li>
      ))}
    </ol>
  );
}

/** The machine's own events: what the hub has kept, and what has come in since. */
function useTimeline(fleet: Fleet, machineId: string): readonly Event[] | undefined {
  const [kept, setKept] = useState<readonly Event[]>();
  useEffect(() => {
    let wanted = true;
    getTimeline(machineId).then(
      events => wanted && setKept(events),
      () => wanted && setKept([]),
    );
    return () => {
      wanted = false;
    };
  }, [machineId]);
  if (kept === undefined) return undefined;
  const newestKept = kept.at(-1)?.id ?? 0;
  return [...kept, ...fleet.events.filter(event => event.machineId === machineId && event.id > newestKept)];
}
