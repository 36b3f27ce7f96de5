/** Commits events one after another and prints the id of each once it is acknowledged. Ended by SIGKILL. */
import { openSqliteStore } from "../../src/store/open-sqlite.ts";
import { newEvent } from "./records.ts";

const store = await openSqliteStore({ file: process.argv[2] ?? "" });
for (;;) {
  const outcome = await store.commit([{ kind: "append-event", event: newEvent() }]);
  if (outcome.kind === "committed") process.stdout.write(`${outcome.events[0]?.id}\n`);
}
