/** What the end of a boot means: the words that people and programs get. */

export interface Verdict {
  /** good: as it should be. busy: it may still go on. bad: it stopped. quiet: nothing to do. */
  readonly tone: "good" | "busy" | "bad" | "quiet";
  /** What happened last. */
  readonly last: string;
  /** What that usually means; empty where nothing is to be added. */
  readonly meaning: string;
  /** What to do next, an imperative sentence each, the likeliest first. */
  readonly advice: readonly string[];
}
