/** A sample of `npm run test:fuzz`, by one seed: enough to see that it runs and that nothing obvious is broken. */
import { expect, it } from "vitest";
import { whyNoNamespaces } from "../pxe/helpers/network.ts";
import { ALL_TARGETS, formatReport, fuzz } from "./fuzz.ts";
import { findFaults } from "./verdict.ts";

const PACKETS = 20_000;
const SEED = 4;
const noNamespaces = whyNoNamespaces();
if (noNamespaces !== undefined) console.warn(`skipped: fuzzing the boot process: ${noNamespaces}`);

it.skipIf(noNamespaces !== undefined).each(ALL_TARGETS)(
  `the boot process lives through ${PACKETS} hostile packets to %s and goes on serving`,
  async target => {
    const [report] = await fuzz({ packets: PACKETS, seed: SEED, targets: [target], say: () => {} });
    if (report === undefined) throw new Error("no report");
    expect(findFaults(report), formatReport(report)).toEqual([]);
    expect(report.sent).toBe(PACKETS);
  },
);
