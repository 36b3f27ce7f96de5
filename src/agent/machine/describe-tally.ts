/** Says in one line where a slot's bytes came from. */
import { formatBytes } from "../../core/bytes.ts";
import type { FillTally } from "../../images/slot-fill.ts";

/** "61.4 MB fetched, 120 MB read from the running slot, 810 MB there already" */
export function describeTally({ fetchedBytes, localBytes, keptBytes, zeroBytes }: FillTally): string {
  const parts: [number, string][] = [
    [fetchedBytes, "fetched"],
    [localBytes, "read from the running slot"],
    [zeroBytes, "zeroed"],
    [keptBytes, "there already"],
  ];
  return parts
    .filter(([bytes], index) => index === 0 || bytes > 0)
    .map(([bytes, what]) => `${formatBytes(bytes)} ${what}`)
    .join(", ");
}
