import type { Machine } from "../api/wire.ts";
import { isInFlight, needsAttention } from "./words.ts";

export function Summary({ machines }: { machines: readonly Machine[] }) {
  const count = (matches: (kind: string) => boolean) =>
    machines.filter(machine => matches(machine.state.kind)).length;
  return (
    <dl class="summary" aria-label="The fleet in figures">
      <Figure name="Machines" value={machines.length} tone="" />
      <Figure name="Healthy" value={count(kind => kind === "healthy")} tone="good" />
      <Figure name="On their way" value={count(isInFlight)} tone="busy" />
      <Figure name="Need attention" value={count(needsAttention)} tone="bad" />
    </dl>
  );
}

/** Nothing to count is nothing to colour. */
function Figure({ name, value, tone }: { name: string; value: number; tone: string }) {
  return (
    <div class={`figure ${value > 0 ? tone : ""}`}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
