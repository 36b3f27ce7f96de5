import { link, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatIpv4, type Ipv4, parseIpv4 } from "../../src/core/ipv4.ts";
import { macFromBytes } from "../../src/core/mac.ts";
import { readLeaseHistory } from "../../src/dhcp/io/lease-history.ts";
import { openLeaseJournal } from "../../src/dhcp/io/lease-journal.ts";
import type { DurableChange } from "../../src/dhcp/lease-change.ts";
import { decodeJournal, encodeChange } from "../../src/dhcp/lease-journal.ts";

const client = (number: number) => macFromBytes(Uint8Array.of(2, 0, 0, 0, 0, number));
const address = (number: number): Ipv4 => {
  const parsed = parseIpv4(`10.0.0.${number}`);
  if (parsed === undefined) throw new Error("not an address");
  return parsed;
};
const lease = (number: number, at: number): DurableChange => ({
  kind: "lease",
  at,
  lease: { address: address(number), client: client(number), hostname: null, expiresAt: at + 1000 },
});
const release = (number: number, at: number): DurableChange => ({
  kind: "release",
  at,
  address: address(number),
  client: client(number),
});
const ANYTHING = { address: null, client: null, limit: 1000 };

describe("the history of leases on disk", () => {
  let folder = "";
  let path = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "drp-history-"));
    path = join(folder, "leases.journal");
  });
  afterEach(async () => await rm(folder, { recursive: true }));

  /** As the server does over its life: the file is made compact whenever ten changes have made it large enough. */
  async function write(changes: readonly DurableChange[], compactAtBytes = 1000): Promise<void> {
    for (let index = 0; index < changes.length; index += 10) {
      await writeSome(changes.slice(index, index + 10), compactAtBytes);
    }
  }

  async function writeSome(changes: readonly DurableChange[], compactAtBytes: number): Promise<void> {
    const live = new Map<Ipv4, DurableChange>();
    const opened = await openLeaseJournal(path, compactAtBytes);
    for (const change of opened.changes) note(change);
    const journal = await opened.start(() => [...live.values()]);
    for (const change of changes) {
      note(change);
      await journal.append(change);
    }
    await journal.close();
    function note(change: DurableChange) {
      if (change.kind === "lease") live.set(change.lease.address, change);
      else live.delete(change.address);
    }
  }

  const told = async (query: Parameters<typeof readLeaseHistory>[1]) =>
    (await readLeaseHistory(path, query)).map(
      entry => `${entry.at} ${entry.what} ${formatIpv4(entry.address)}`,
    );

  it("tells the newest first, over the journals that were replaced, each change once", async () => {
    const changes = Array.from({ length: 60 }, (_, index) =>
      index % 3 === 2 ? release((index % 7) + 1, index) : lease((index % 7) + 1, index),
    );
    await write(changes);
    expect((await readdir(folder)).length).toBeGreaterThan(3);
    const expected = changes.map(change =>
      change.kind === "lease"
        ? `${change.at} leased ${formatIpv4(change.lease.address)}`
        : `${change.at} released ${formatIpv4((change as { address: Ipv4 }).address)}`,
    );
    expect(await told(ANYTHING)).toEqual(expected.toReversed());
    expect(await told({ ...ANYTHING, limit: 5 })).toEqual(expected.toReversed().slice(0, 5));
    expect(await told({ ...ANYTHING, address: address(3), limit: 2 })).toEqual(
      expected
        .filter(line => line.endsWith("10.0.0.3"))
        .toReversed()
        .slice(0, 2),
    );
    expect(await told({ ...ANYTHING, client: client(9) })).toEqual([]);
  });

  it("keeps eight replaced journals, and no change of those is lost", async () => {
    const changes = Array.from({ length: 200 }, (_, index) => lease((index % 5) + 1, index));
    await write(changes);
    const files = (await readdir(folder)).sort();
    expect(files).toEqual([
      "leases.journal",
      ...[1, 2, 3, 4, 5, 6, 7, 8].map(number => `leases.journal.${number}`),
    ]);
    const oldest = decodeJournal(await readFile(`${path}.8`), "").at(-1)?.at ?? -1;
    expect((await told(ANYTHING)).length).toBeGreaterThanOrEqual(200 - oldest);
    expect((await told(ANYTHING)).slice(0, 3)).toEqual([
      "199 leased 10.0.0.5",
      "198 leased 10.0.0.4",
      "197 leased 10.0.0.3",
    ]);
  });

  it("tells each change once after a crash between the two steps of a replacement", async () => {
    await write([lease(1, 1), lease(2, 2)], 1_000_000);
    await link(path, `${path}.1`);
    expect(await told(ANYTHING)).toEqual(["2 leased 10.0.0.2", "1 leased 10.0.0.1"]);
    await write([lease(3, 3)], 10);
    expect(await told(ANYTHING)).toEqual(["3 leased 10.0.0.3", "2 leased 10.0.0.2", "1 leased 10.0.0.1"]);
  });

  it("passes over a gap among the files and over lines that are rotten", async () => {
    await write(Array.from({ length: 60 }, (_, index) => lease((index % 7) + 1, index)));
    await rename(`${path}.1`, `${path}.9`);
    const second = await readFile(`${path}.2`, "utf8");
    await writeFile(`${path}.2`, second.replace(/\n[^\n]*\n[^\n]*$/, "\nrotten\n"));
    const entries = await told(ANYTHING);
    expect(entries[0]).toBe("59 leased 10.0.0.4");
    expect(entries.at(-1)).toBe("0 leased 10.0.0.1");
  });

  it("reads a line that lies across the pieces in which a file is read", async () => {
    const changes = Array.from({ length: 3000 }, (_, index) => lease((index % 7) + 1, index));
    await writeFile(path, changes.map(encodeChange).join(""));
    expect((await told({ ...ANYTHING, limit: 5000 })).length).toBe(3000);
  });

  it("is written while a compact journal is made: no append waits for it, and nothing is lost", async () => {
    const live = Array.from({ length: 20_000 }, (_, index) => lease((index % 250) + 1, index));
    const journal = await (await openLeaseJournal(path, 100_000)).start(() => live);
    const more = Array.from({ length: 2000 }, (_, index) => lease((index % 250) + 1, 100_000 + index));
    for (let index = 0; index < more.length; index += 20) {
      await Promise.all(more.slice(index, index + 20).map(change => journal.append(change)));
    }
    await journal.close();
    const kept = decodeJournal(await readFile(path), path);
    expect(kept.filter(change => (change.at ?? 0) >= 100_000)).toEqual(more);
    expect(kept.slice(0, 20_000)).toEqual(live);
  });
});
