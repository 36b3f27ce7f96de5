/** Makes an image a delta over the newer one and removes that, until it is killed. Arguments: the moment, the folder, the plan as JSON. */
import { makeDelta } from "../../../src/images/io/make-delta.ts";
import { openRegistry } from "../../../src/images/io/registry.ts";
import type { HistoryImage } from "../../../src/images/plan-history.ts";
import { dieInFileOperations } from "./die-in-file-operations.ts";

const [moment = "", dir = "", plan = ""] = process.argv.slice(2);
const images = JSON.parse(plan) as HistoryImage[];
const registry = await openRegistry(dir);
// The first need of it reads what there is; from here on files change.
await registry.findChunk("ab".repeat(32));
await dieInFileOperations(Number(moment));
const { signal } = new AbortController();
await registry.compact(images, (job, placeOf) => makeDelta(job, placeOf, () => {}), signal);
const newest = images.find(({ keepWhole }) => keepWhole);
await registry.remove(newest?.digest ?? "");
