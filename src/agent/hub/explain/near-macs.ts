/** MAC addresses that may be the one that was meant: typed wrongly, or of another port of the same machine. */

/**
 * @param seen addresses that were heard of
 * @returns those that are near, the nearest first
 */
export function nearMacs(wanted: string, seen: readonly string[]): string[] {
  return seen
    .flatMap(mac => {
      const distance = distanceOf(wanted, mac);
      return distance === undefined ? [] : [{ mac, distance }];
    })
    .sort((a, b) => a.distance - b.distance || (a.mac < b.mac ? -1 : 1))
    .map(({ mac }) => mac);
}

/** Ports of one card or board are numbered on from one another: seldom more than eight. */
const PORTS_APART = 8;

function distanceOf(wanted: string, mac: string): number | undefined {
  if (wanted === mac) return undefined;
  const a = wanted.replaceAll(":", "");
  const b = mac.replaceAll(":", "");
  const differing = [...a].filter((digit, index) => digit !== b[index]).length;
  if (differing <= 1) return differing;
  const apart = Math.abs(Number.parseInt(a, 16) - Number.parseInt(b, 16));
  if (apart <= PORTS_APART) return apart;
  if (differing > 2) return undefined;
  return isSwapped(a, b) ? 2 : 3;
}

/** Two digits that changed places. */
function isSwapped(a: string, b: string): boolean {
  return [...a].sort().join("") === [...b].sort().join("");
}
