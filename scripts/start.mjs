/** `npm start`: installs and builds what is missing, then runs the hub with a local site. */
import { ensurePackages, runPinnedNode } from "./packages.mjs";

ensurePackages();
const built = await runPinnedNode(["scripts/build.ts", "--if-changed"]);
process.exitCode =
  built === 0 ? await runPinnedNode(["src/main.ts", "serve", ...process.argv.slice(2)]) : built;
