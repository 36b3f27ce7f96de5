import type { Rollout } from "../api/wire.ts";
import type { Fleet } from "./fleet.ts";
import { RolloutCard } from "./rollout-card.tsx";
import { isEnded, rolloutTone } from "./rollout-words.ts";
import { useNow } from "./use-now.ts";
import { age, stateLabel } from "./words.ts";

/** Seconds count while a wave soaks. */
const TICK_MS = 1000;

/** What is open, or the newest while nothing is; the others as a list. */
export function Rollouts({ fleet }: { fleet: Fleet }) {
  const now = useNow(TICK_MS);
  const open = fleet.rollouts.filter(({ state }) => !isEnded(state));
  const shown = open.length > 0 ? open : fleet.rollouts.slice(0, 1);
  const earlier = fleet.rollouts.filter(rollout => !shown.includes(rollout));
  if (shown.length === 0) return null;
  return (
    <section aria-labelledby="rollouts-title" class="rollouts">
      <h2 id="rollouts-title">{open.length > 0 ? "Rollout" : "Last rollout"}</h2>
      {shown.map(rollout => (
        <RolloutCard key={rollout.id} rollout={rollout} fleet={fleet} now={now} />
      ))}
      {earlier.length > 0 && <Earlier rollouts={earlier} now={now} />}
    </section>
  );
}

function Earlier({ rollouts, now }: { rollouts: readonly Rollout[]; now: number }) {
  return (
    <details class="earlier">
      <summary>Earlier rollouts ({rollouts.length})</summary>
      <ul class="card entries">
        {rollouts.map(({ id, plan, state, createdAt, startedBy }) => (
          <li key={id}>
            <span>
              <strong>{plan.imageName}</strong>{" "}
              <span class={`pill ${rolloutTone(state)}`}>{stateLabel(state.kind)}</span>
            </span>
            {"reason" in state && <span>{state.reason}</span>}
            <span class="quiet">
              {id}, started {age(createdAt, now)} by {startedBy}
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
