/** A mistake in a value that has the right shape: what a schema cannot know. */

export interface SettingProblem {
  /** Of the key, from where the reader began. */
  readonly path: readonly PropertyKey[];
  /** What is wrong with which value, and where it is not plain what to do. */
  readonly reason: string;
}

/** Keeps every problem, so that a person mends them all at once. */
export class ProblemList {
  readonly problems: SettingProblem[] = [];

  refuse(path: readonly PropertyKey[], reason: string): void {
    this.problems.push({ path, reason });
  }
}
