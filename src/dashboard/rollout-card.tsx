import type { Rollout } from "../api/wire.ts";
import { shortDigest } from "../core/bytes.ts";
import { type Fleet, imageName } from "./fleet.ts";
import { RolloutActions } from "./rollout-actions.tsx";
import { explainRollout, plural, rolloutTone, waveTone } from "./rollout-words.ts";
import { WaveSites } from "./wave-sites.tsx";
import { age, stateLabel } from "./words.ts";

interface Props {
  readonly rollout: Rollout;
  readonly fleet: Fleet;
  readonly now: number;
}

/** One rollout: from what to what, where it stands and why, wave by wave, and the proof after a rollback. */
export function RolloutCard({ rollout, fleet, now }: Props) {
  const { plan, state } = rollout;
  const tone = rolloutTone(state);
  return (
    <article class="card rollout" aria-label={`Rollout of ${plan.imageName}`}>
      <div class="row">
        <h3>
          <span class="quiet">{fromNames(rollout, fleet)} → </span>
          {plan.imageName}{" "}
          <span class={`pill ${tone}`} aria-live="polite">
            {stateLabel(state.kind)}
          </span>
        </h3>
        <RolloutActions rollout={rollout} role={fleet.session.role} />
      </div>
      <p class={`explained ${tone}`}>{explainRollout(rollout, now)}</p>
      <WaveSteps rollout={rollout} />
      {plan.waves.map((_wave, index) => (
        <WaveSites key={index} rollout={rollout} index={index} />
      ))}
      <Proof rollout={rollout} fleet={fleet} />
      {plan.deferred.length > 0 && <Deferred deferred={plan.deferred} />}
      <p class="quiet fine">
        {rollout.id}, started {age(rollout.createdAt, now)} by {rollout.startedBy};{" "}
        {plan.strategy === "ab" ? "other slot, then a trial boot" : "whole disk again"};{" "}
        {plan.selector === "" ? "every site" : plan.selector}
      </p>
    </article>
  );
}

/** "app:v1", or "app:v1, app:v0" where the fleet was mixed. */
function fromNames({ plan }: Rollout, fleet: Fleet): string {
  const machines = plan.waves.flatMap(wave => wave.sites.flatMap(site => site.machines));
  return [...new Set(machines.map(machine => imageName(fleet, machine.from)))].join(", ");
}

function WaveSteps({ rollout }: { rollout: Rollout }) {
  return (
    <ol class="steps" aria-label="Waves">
      {rollout.plan.waves.map(({ label, sites }, index) => {
        const state = rollout.waves[index] ?? { kind: "pending" as const };
        return (
          <li key={index} class={`step ${waveTone(state)}`}>
            <strong>Wave {index + 1}</strong> <span class={`pill ${waveTone(state)}`}>{state.kind}</span>
            <span class="quiet detail">
              {label.endsWith("%") ? `to ${label}: ` : ""}
              {plural(sites.length, "site")}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

function Proof({ rollout, fleet }: Omit<Props, "now">) {
  if (!rollout.state.kind.startsWith("roll")) return null;
  const machines = rollout.plan.waves.flatMap(wave => wave.sites.flatMap(site => site.machines));
  return (
    <div class="proof">
      <h4>Proof of the rollback</h4>
      <ul aria-label="Proof of the rollback">
        {machines.map(({ machineId, name }) => {
          const progress = rollout.machines[machineId];
          const isProven = progress?.kind === "returned" || progress?.kind === "untouched";
          return (
            <li key={machineId}>
              <strong>{name}</strong>{" "}
              {isProven ? (
                <>
                  <span class="pill good">{progress.kind}</span>
                  <span class="quiet">
                    runs {imageName(fleet, progress.image)}{" "}
                    <span class="code">{shortDigest(progress.image)}</span>, boot{" "}
                    <span class="code">{progress.bootId}</span>
                  </span>
                </>
              ) : (
                <span class="pill bad">not proven</span>
              )}
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function Deferred({ deferred }: { deferred: Rollout["plan"]["deferred"] }) {
  return (
    <details class="fine">
      <summary>Left out ({deferred.length})</summary>
      <ul>
        {deferred.map(({ name, reason }) => (
          <li key={name}>
            <strong>{name}</strong> <span class="quiet">{reason}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}
