/** `npm test`: installs what is missing, then runs everything that CI runs. */
import { ensureDebianPackages } from "./debian-packages.mjs";
import { ensurePackages, runPinnedNode } from "./packages.mjs";

ensurePackages();
ensureDebianPackages();
process.exitCode = await runPinnedNode(["scripts/run-tests.ts", ...process.argv.slice(2)]);
