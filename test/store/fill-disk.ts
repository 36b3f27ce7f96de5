/** Commits large events until one is refused, then says what was refused and what is left: for a file system that is small. */
import { DrpError } from "../../src/core/errors.ts";
import { openSqliteStore } from "../../src/store/open-sqlite.ts";
import { newEvent } from "./records.ts";

const store = await openSqliteStore({ file: process.argv[2] ?? "" });
let acknowledged = 0;
let code = "";
while (code === "" && acknowledged < 1000) {
  try {
    await store.commit([{ kind: "append-event", event: newEvent({ summary: "x".repeat(50_000) }) }]);
    acknowledged++;
  } catch (error) {
    code = error instanceof DrpError ? error.code : String(error);
  }
}
const kept = (await store.listEvents({ limit: 1000, from: "oldest" })).length;
process.stdout.write(JSON.stringify({ acknowledged, kept, code }));
await store.close();
