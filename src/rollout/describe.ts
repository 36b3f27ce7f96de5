/** The words of the event log: one sentence for each change of a wave or a machine, with its reason and its proof. */
import { shortDigest } from "../core/bytes.ts";
import { type EpochMs, formatDuration } from "../core/time.ts";
import type { RolloutEvent } from "./rollout-event.ts";
import type { MachineProgress, PlannedMachine, RolloutPlan, WaveState } from "./rollout-record.ts";

type Words = Pick<RolloutEvent, "kind" | "severity" | "summary" | "facts">;

export function describeWave(plan: RolloutPlan, index: number, state: WaveState, now: EpochMs): Words {
  const wave = plan.waves[index];
  const name = `wave ${index + 1} of ${plan.waves.length} (${wave?.label})`;
  const sites = wave?.sites.map(site => site.name).join(", ");
  const said = (severity: Words["severity"], summary: string): Words => ({
    kind: `wave.${state.kind}`,
    severity,
    summary: `${name} ${summary}`,
    facts: { wave: index + 1 },
  });
  switch (state.kind) {
    case "pending":
      return said("info", "waits");
    case "open":
      return said("info", `is open: ${sites}`);
    case "soaking":
      return said("info", `is confirmed, and watched for ${formatDuration(state.until - now)}`);
    case "held":
      return said("warning", `is held: ${state.reason}`);
    case "passed":
      // A rollout to one machine alone moves no baseline.
      if (plan.machine !== undefined)
        return said("info", `has passed: ${plan.machine} runs ${plan.imageName}`);
      return said("info", `has passed: ${plan.imageName} is the baseline of ${sites}`);
    case "failed":
      return said("alarm", `has failed: ${state.reason}`);
  }
}

/** @returns undefined for a change that is no news: more bytes of the same phase, a deadline that moved on */
export function describeMachine(
  plan: RolloutPlan,
  { name, from: old }: PlannedMachine,
  from: MachineProgress,
  to: MachineProgress,
): Words | undefined {
  const said = (
    severity: Words["severity"],
    summary: string,
    facts: Words["facts"] = {},
    kind: string = to.kind,
  ): Words => ({
    kind: `update.${kind}`,
    severity,
    summary: `${name} ${summary}`,
    facts,
  });
  switch (to.kind) {
    case "queued":
      return undefined;
    case "updating": {
      const { attempt, phase } = to;
      if (from.kind !== "updating") return said("info", `is given ${plan.imageName}`, { attempt }, "granted");
      if (from.attempt !== attempt) {
        const again = "restarted in mid-update and runs its old image: it is given the new one a second time";
        return said("warning", again, { attempt }, "retried");
      }
      return from.phase === phase
        ? undefined
        : said("info", `${plan.imageName}: ${phase}`, { attempt, phase }, phase);
    }
    case "confirmed":
      return said("info", `runs ${plan.imageName}, healthy and confirmed (boot ${to.bootId})`, {
        image: plan.image,
        bootId: to.bootId,
      });
    case "fell-back":
      return said("alarm", `fell back from ${plan.imageName}: ${to.reason}`, { attempt: to.attempt });
    case "failed":
      return said("alarm", `failed with ${plan.imageName}: ${to.reason}`, { attempt: to.attempt });
    case "returning":
      return said("info", `goes back to ${shortDigest(old)}`, { attempt: to.attempt });
    case "returned":
      return said("info", `is back: it runs ${shortDigest(to.image)}, confirmed (boot ${to.bootId})`, {
        image: to.image,
        bootId: to.bootId,
      });
    case "untouched":
      return said(
        "info",
        `was never given ${plan.imageName}: it runs ${shortDigest(to.image)} (boot ${to.bootId})`,
        {
          image: to.image,
          bootId: to.bootId,
        },
      );
  }
}
