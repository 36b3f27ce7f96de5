/** Pushes and removes images until it is killed. Arguments: the moment, the registry's folder, the key as JSON, bundle files. */
import { createReadStream } from "node:fs";
import { openRegistry } from "../../../src/images/io/registry.ts";
import { dieInFileOperations } from "./die-in-file-operations.ts";

const [moment = "", dir = "", key = "", ...bundles] = process.argv.slice(2);
const registry = await openRegistry(dir);
await dieInFileOperations(Number(moment));
for (let round = 0; ; round++) {
  const bundle = bundles[round % bundles.length] ?? "";
  const { digest } = await registry.ingestBundle(createReadStream(bundle), [JSON.parse(key)]);
  // Every other one stays, so that what is removed shares chunks with what is not.
  if (round % 2 === 1) await registry.remove(digest);
}
