/** `npm run test:bundles [-- --step N]`: every cut and every flipped byte of a small bundle, in each form (about 10 minutes). */
import { parseArgs } from "node:util";
import { damageBundle, FORMS } from "./damage.ts";

const { values } = parseArgs({ options: { step: { type: "string" } } });
const step = Number(values.step ?? 1);
if (!Number.isInteger(step) || step < 1) {
  console.error("usage: npm run test:bundles -- [--step N]");
  process.exit(2);
}
for (const form of FORMS) {
  const { cuts, flips, harmless, refusals, faults } = await damageBundle(form, step);
  const codes = Object.entries(refusals).map(([code, times]) => `${code} ${times}`);
  console.log(
    `${form}: ${cuts} cuts, ${flips} flips (${harmless} changed nothing that counts); ${codes.join(", ")}`,
  );
  for (const fault of faults) console.error(`FAILED: ${fault}`);
  if (faults.length > 0) process.exitCode = 1;
}
