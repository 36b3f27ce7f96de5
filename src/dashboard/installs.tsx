import { useRef } from "preact/hooks";
import type { Machine } from "../api/wire.ts";
import { formatBytes } from "../core/bytes.ts";
import { formatDuration } from "../core/time.ts";
import { type Fleet, imagesOf } from "./fleet.ts";
import { isInFlight, sentence, stateReason } from "./words.ts";

export function Installs({ fleet, onOpen }: { fleet: Fleet; onOpen: (id: string) => void }) {
  const moving = fleet.machines.filter(machine => isInFlight(machine.state.kind));
  if (moving.length === 0) return null;
  return (
    <section aria-labelledby="installs-title">
      <h2 id="installs-title">Installs in progress</h2>
      <ul class="installs">
        {moving.map(machine => (
          <li key={machine.id} class="card">
            <div class="row">
              <button type="button" class="link" onClick={() => onOpen(machine.id)}>
                {machine.name}
              </button>
              <span class="quiet">→ {imagesOf(fleet, machine).coming}</span>
            </div>
            <Progress machine={machine} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Progress({ machine }: { machine: Machine }) {
  const rate = useRate(machine);
  const { state } = machine;
  if (state.kind !== "installing" || state.totalBytes === 0) {
    return (
      <>
        {state.kind !== "assigned" && <progress aria-label={`Install of ${machine.name}`} />}
        <p class="quiet">{stateReason(state)}</p>
      </>
    );
  }
  const percent = Math.floor((100 * state.doneBytes) / state.totalBytes);
  const leftMs = rate > 0 ? ((state.totalBytes - state.doneBytes) / rate) * 1000 : undefined;
  return (
    <>
      <progress aria-label={`Install of ${machine.name}`} max={100} value={percent} />
      <p class="row quiet">
        <span>
          {sentence(state.phase)} {formatBytes(state.doneBytes)} of {formatBytes(state.totalBytes)}
        </span>
        <span class="figures">
          {percent}%{rate > 0 && ` · ${formatBytes(rate)}/s`}
          {leftMs !== undefined && leftMs > 0 && ` · ${formatDuration(leftMs)} left`}
        </span>
      </p>
    </>
  );
}

/** Steadies the rate over the last looks, in bytes a second; 0 until there are two. */
function useRate(machine: Machine): number {
  const samples = useRef<{ phase: string; at: number; doneBytes: number }[]>([]);
  const { state } = machine;
  if (state.kind !== "installing") return 0;
  const last = samples.current.at(-1);
  if (last?.phase !== state.phase) samples.current = [];
  if (last?.doneBytes !== state.doneBytes || last.phase !== state.phase) {
    samples.current.push({ phase: state.phase, at: Date.now(), doneBytes: state.doneBytes });
    samples.current = samples.current.slice(-RATE_SAMPLES);
  }
  const [oldest] = samples.current;
  const newest = samples.current.at(-1);
  if (oldest === undefined || newest === undefined || newest.at === oldest.at) return 0;
  return ((newest.doneBytes - oldest.doneBytes) * 1000) / (newest.at - oldest.at);
}

const RATE_SAMPLES = 5;
