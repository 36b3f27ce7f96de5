/**
 * Runs a program under the Node.js that this project pins, from an empty clone too. Plain JavaScript that Node.js 20
 * understands: nothing is installed yet when it starts.
 *
 *   node scripts/with-node.mjs FILE [ARGUMENT …]
 */
import { ensurePackages, runPinnedNode } from "./packages.mjs";

ensurePackages();
process.exitCode = await runPinnedNode(process.argv.slice(2));
