/** `npm run lab [-- --keep]`: installs and builds what is missing, then runs the lab. */
import { ensureDebianPackages } from "./debian-packages.mjs";
import { ensurePackages, runPinnedNode } from "./packages.mjs";

ensurePackages();
ensureDebianPackages();
const built = await runPinnedNode(["scripts/build.ts", "--if-changed"]);
process.exitCode = built === 0 ? await runPinnedNode(["test/lab/main.ts", ...process.argv.slice(2)]) : built;
