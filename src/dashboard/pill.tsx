import { stateLabel, stateTone } from "./words.ts";

/** A state in words, with a colour that only repeats them. */
export function StatePill({ kind }: { kind: string }) {
  return <span class={`pill ${stateTone(kind)}`}>{stateLabel(kind)}</span>;
}
