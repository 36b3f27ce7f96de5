import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readLeaseHistory } from "../../src/dhcp/io/lease-history.ts";
import { decodeJournal } from "../../src/dhcp/lease-journal.ts";

const APPEND_FOREVER = new URL("append-forever.ts", import.meta.url).pathname;
const KILLS = 8;

it("a lease journal loses no lease and no line of its history to kill -9, also while it is made compact", async () => {
  const folder = await mkdtemp(join(tmpdir(), "drp-kill-"));
  const path = join(folder, "leases.journal");
  let newest = 0;
  try {
    for (let kill = 1; kill <= KILLS; kill++) {
      newest = await appendUntilKilled(path, newest + 150 * kill);
      const leases = decodeJournal(await readFile(path), path);
      expect(Math.max(...leases.map(({ at }) => at ?? 0))).toBeGreaterThanOrEqual(newest);
      const told = await readLeaseHistory(path, { address: null, client: null, limit: 100 });
      const times = told.map(({ at }) => at);
      // Lines that were written and not yet acknowledged may be there too.
      const acknowledged = times.filter(at => at <= newest);
      expect(acknowledged.slice(0, 80)).toEqual(acknowledged.slice(0, 80).map((_, index) => newest - index));
    }
    expect(await readdir(folder)).toContain("leases.journal.8");
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** @returns the number of the newest lease of which all before are on disk too, as it said before it died */
async function appendUntilKilled(path: string, killAfter: number): Promise<number> {
  const child = spawn(process.execPath, [APPEND_FOREVER, path], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const numbers = new Set<number>();
  let printed = "";
  for await (const chunk of child.stdout) {
    printed += chunk;
    const lines = printed.split("\n");
    printed = lines.pop() ?? "";
    for (const line of lines) numbers.add(Number(line));
    if (Math.max(...numbers) >= killAfter) child.kill("SIGKILL");
  }
  await exited;
  let newest = Math.min(...numbers);
  while (numbers.has(newest + 1)) newest++;
  return newest;
}
