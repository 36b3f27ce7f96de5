/** Which rate a server is offered next, so that its highest clean one is found in few runs: pure. */

export interface Trial {
  readonly offeredPerSecond: number;
  /** So few drops that the rate counts as served. */
  readonly clean: boolean;
}

export interface SearchPlan {
  /** A guess; a wrong one costs runs, not truth. */
  readonly first: number;
  /** Above 1: by how much the rate is raised or lowered until both kinds of trial have been seen. */
  readonly step: number;
  /** Above 1: the search is over when a rate that much higher than the best clean one was not clean. */
  readonly resolution: number;
  /** A busy machine answers every trial differently: then this ends the search. */
  readonly maxTrials: number;
}

/**
 * @param trials so far, in any order
 * @returns undefined when the search is over
 */
export function nextRate(trials: readonly Trial[], plan: SearchPlan): number | undefined {
  if (trials.length === 0) return plan.first;
  if (trials.length === plan.maxTrials) return undefined;
  const dropped = Math.min(...ratesOf(trials, false));
  const clean = Math.max(...ratesOf(trials, true).filter(rate => rate < dropped));
  if (dropped === Number.POSITIVE_INFINITY) return Math.round(clean * plan.step);
  if (clean === Number.NEGATIVE_INFINITY) return Math.max(1, Math.round(dropped / plan.step));
  return dropped / clean <= plan.resolution ? undefined : Math.round(Math.sqrt(clean * dropped));
}

/** The highest clean rate below every one that was not; undefined when there is none. */
export function highestClean<T extends Trial>(trials: readonly T[]): T | undefined {
  const dropped = Math.min(...ratesOf(trials, false));
  return trials
    .filter(trial => trial.clean && trial.offeredPerSecond < dropped)
    .toSorted((a, b) => b.offeredPerSecond - a.offeredPerSecond)[0];
}

function ratesOf(trials: readonly Trial[], clean: boolean): number[] {
  return trials.filter(trial => trial.clean === clean).map(trial => trial.offeredPerSecond);
}
