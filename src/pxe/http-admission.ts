/**
 * Whose connection is kept when there are as many as may be. Below that everybody is let in; then whoever has fewer takes one
 * from whoever has the most, so that one stranger cannot keep the machines of a site out, and shares end up even.
 */

export type Admission =
  | { readonly kind: "admit" }
  | { readonly kind: "refuse" }
  /** Close one connection of this address, and admit the newcomer. */
  | { readonly kind: "displace"; readonly address: string };

/**
 * @param held connections by remote address, the newcomer's not counted
 * @param total their sum
 */
export function decideAdmission(
  newcomer: string,
  held: ReadonlyMap<string, number>,
  total: number,
  most: number,
): Admission {
  if (total < most) return { kind: "admit" };
  let greatest = { address: newcomer, count: held.get(newcomer) ?? 0 };
  for (const [address, count] of held) if (count > greatest.count) greatest = { address, count };
  const wouldHold = (held.get(newcomer) ?? 0) + 1;
  return greatest.count > wouldHold ? { kind: "displace", address: greatest.address } : { kind: "refuse" };
}
