/** Which programs a test of an independent client needs, and why it is skipped without them. */
import { it } from "vitest";
import { whyNoNamespaces, whyNoProgram } from "../../helpers/network.ts";

/** Why exchanges cannot be captured here, or undefined. */
export function whyNoCaptures(): string | undefined {
  return whyNoNamespaces() ?? whyNoProgram("tcpdump");
}

/** A test that needs a program; skipped with the reason where it is not there. */
export function itWith(program: string, name: string, test: () => Promise<void>): void {
  const missing = whyNoProgram(program);
  it.skipIf(missing !== undefined)(missing === undefined ? name : `${name} (${missing})`, test);
}
