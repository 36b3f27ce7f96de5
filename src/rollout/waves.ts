/**
 * Reads "1,5%,100%": how many sites have the new image after each wave. Percentages round up, a wave that would add no
 * site is merged into the one before, and the last must reach every site (field notes §2, rule 2).
 */
import type { Refusal } from "./refusal.ts";

export interface WaveSize {
  /** As asked for: "1", "5%". */
  readonly label: string;
  /** Sites that this wave and those before it reach: 1 … all. */
  readonly siteCount: number;
}

export type WavesOutcome = { readonly kind: "waves"; readonly waves: readonly WaveSize[] } | Refusal;

/** A count of sites, or hundredths of a percent: whole numbers, so that 7 % of 100 is 7 and never 8. */
type Step = { readonly label: string } & (
  | { readonly unit: "sites"; readonly amount: number }
  | { readonly unit: "basis-points"; readonly amount: number }
);

const ALL_BASIS_POINTS = 10_000;
const EXAMPLE = "For example --wave 1,5%,100%: one site, then 5 % of all, then the rest.";

/** @param siteCount sites with something to do, at least 1 */
export function planWaves(text: string, siteCount: number): WavesOutcome {
  const parts = text.split(",").map(part => part.trim());
  const steps: Step[] = [];
  for (const part of parts) {
    const step = parseStep(part);
    if (step === undefined) {
      return refuse(
        `"${part}" in the waves "${text}" is neither a count of sites nor a percentage up to 100%`,
      );
    }
    const before = steps.at(-1);
    if (before !== undefined && before.unit === step.unit && before.amount >= step.amount) {
      return refuse(
        `the waves "${text}" do not rise: ${step.label} comes after ${before.label}; they are cumulative`,
      );
    }
    steps.push(step);
  }
  const waves = mergeEmpty(withCanary(steps), siteCount);
  const reached = waves.at(-1)?.siteCount ?? 0;
  if (reached < siteCount) {
    return refuse(`the waves "${text}" reach ${reached} of ${siteCount} sites, and never all of them`);
  }
  return { kind: "waves", waves };
}

function parseStep(label: string): Step | undefined {
  const percent = /^(\d{1,3})(?:\.(\d{1,2}))?%$/.exec(label);
  if (percent !== null) {
    const [, whole = "", hundredths = ""] = percent;
    const amount = Number(whole) * 100 + Number(hundredths.padEnd(2, "0"));
    return amount > 0 && amount <= ALL_BASIS_POINTS ? { label, unit: "basis-points", amount } : undefined;
  }
  return /^[1-9]\d{0,6}$/.test(label) ? { label, unit: "sites", amount: Number(label) } : undefined;
}

/** A lone percentage: one site as the canary, then steps of it up to 100 %. */
function withCanary(steps: readonly Step[]): readonly Step[] {
  const [only, ...others] = steps;
  if (only === undefined || others.length > 0 || only.unit === "sites") return steps;
  const rising: Step[] = [{ label: "1", unit: "sites", amount: 1 }];
  for (let amount = only.amount; amount < ALL_BASIS_POINTS; amount += only.amount) {
    rising.push({ label: `${amount / 100}%`, unit: "basis-points", amount });
  }
  return [...rising, { label: "100%", unit: "basis-points", amount: ALL_BASIS_POINTS }];
}

function mergeEmpty(steps: readonly Step[], siteCount: number): WaveSize[] {
  const waves: WaveSize[] = [];
  for (const step of steps) {
    const before = waves.at(-1)?.siteCount ?? 0;
    const reached = sitesOf(step, siteCount);
    if (reached > before) waves.push({ label: step.label, siteCount: reached });
  }
  return waves;
}

function sitesOf(step: Step, siteCount: number): number {
  if (step.unit === "sites") return Math.min(step.amount, siteCount);
  return Math.ceil((siteCount * step.amount) / ALL_BASIS_POINTS);
}

function refuse(reason: string): Refusal {
  return {
    kind: "refused",
    code: "rollout.refused",
    reason,
    advice: `Let the waves rise and end with 100%. ${EXAMPLE}`,
  };
}
