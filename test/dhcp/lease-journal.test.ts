import { mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseIpv4 } from "../../src/core/ipv4.ts";
import { macFromBytes } from "../../src/core/mac.ts";
import { openLeaseJournal } from "../../src/dhcp/io/lease-journal.ts";
import type { DurableChange } from "../../src/dhcp/lease-change.ts";
import { decodeJournal, encodeChange, JOURNAL_HEADER } from "../../src/dhcp/lease-journal.ts";

function lease(number: number, hostname: string | null = null): DurableChange {
  const address = parseIpv4(`10.0.0.${number}`);
  if (address === undefined) throw new Error("not an address");
  return {
    kind: "lease",
    at: 900,
    lease: { address, client: macFromBytes(Uint8Array.of(2, 0, 0, 0, 0, number)), hostname, expiresAt: 1000 },
  };
}

function giveBack(change: DurableChange): DurableChange {
  if (change.kind !== "lease") throw new Error("not a lease");
  return { kind: "release", at: 950, address: change.lease.address, client: change.lease.client };
}

const bytesOf = (...changes: DurableChange[]) =>
  Buffer.from(JOURNAL_HEADER + changes.map(encodeChange).join(""));

describe("decodeJournal()", () => {
  const changes: DurableChange[] = [lease(1, 'quotes " and\nlines'), giveBack(lease(1)), lease(2)];

  it("reads back what was written", () => {
    expect(decodeJournal(bytesOf(...changes), "leases")).toEqual(changes);
  });

  it("forgives an end that was torn anywhere", () => {
    const whole = bytesOf(...changes);
    const lastLine = whole.length - encodeChange(lease(2)).length;
    for (let length = lastLine; length < whole.length; length++) {
      const decoded = decodeJournal(whole.subarray(0, length), "leases");
      expect(decoded).toEqual(changes.slice(0, 2));
    }
  });

  it("names the file and the offset of damage that has whole lines behind it", () => {
    const bytes = bytesOf(...changes);
    bytes[JOURNAL_HEADER.length + 20] = 0;
    expect(() => decodeJournal(bytes, "/data/leases")).toThrow(
      expect.objectContaining({
        code: "lease-journal.damaged",
        message: `lease journal /data/leases is damaged at byte ${JOURNAL_HEADER.length}`,
        facts: { file: "/data/leases", offsetBytes: JOURNAL_HEADER.length },
      }),
    );
  });

  it("takes an empty file for a new one", () => {
    expect(decodeJournal(new Uint8Array(), "leases")).toEqual([]);
  });
});

describe("the lease journal's file", () => {
  let folder = "";
  let path = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "drp-journal-"));
    path = join(folder, "data", "leases.journal");
  });
  afterEach(async () => await rm(folder, { recursive: true }));

  it("holds every change whose append has resolved", async () => {
    const journal = await (await openLeaseJournal(path)).start(() => []);
    const many = Array.from({ length: 200 }, (_, index) => lease(index % 250));
    await Promise.all(many.map(change => journal.append(change)));
    expect(decodeJournal(await readFile(path), path)).toEqual(many);
    await journal.close();
  });

  it("goes on at the start with the file as it is: every start would push the history of another out", async () => {
    const first = await (await openLeaseJournal(path)).start(() => []);
    for (let count = 0; count < 10; count++) await first.append(lease(1));
    await first.close();
    const before = await readFile(path);
    const second = await (await openLeaseJournal(path)).start(() => [lease(1)]);
    await second.append(lease(2));
    await second.close();
    expect(await readFile(path)).toEqual(Buffer.concat([before, Buffer.from(encodeChange(lease(2)))]));
  });

  it("goes on after a torn end", async () => {
    const first = await (await openLeaseJournal(path)).start(() => []);
    await first.append(lease(1));
    await first.append(lease(2));
    await first.close();
    await truncate(path, (await stat(path)).size - 5);
    const opened = await openLeaseJournal(path);
    expect(opened.changes).toEqual([lease(1)]);
    const second = await opened.start(() => opened.changes);
    await second.append(lease(3));
    await second.close();
    expect((await openLeaseJournal(path)).changes).toEqual([lease(1), lease(3)]);
  });

  it("leaves a damaged file as it is", async () => {
    await (await (await openLeaseJournal(path)).start(() => [])).close();
    const damaged = bytesOf(lease(1), lease(2));
    damaged[JOURNAL_HEADER.length] = 0;
    await writeFile(path, damaged);
    await expect(openLeaseJournal(path)).rejects.toMatchObject({ code: "lease-journal.damaged" });
    expect(await readFile(path)).toEqual(damaged);
  });

  it("rejects what could not be written, and holds everything again once the disk is well", async () => {
    const kept = [lease(1)];
    const journal = await (await openLeaseJournal(path)).start(() => kept);
    await journal.close();
    await rm(dirname(path), { recursive: true });
    await expect(journal.append(lease(2))).rejects.toMatchObject({ code: "ENOENT" });
    await mkdir(dirname(path));
    await journal.append(lease(3));
    expect(decodeJournal(await readFile(path), path)).toEqual([lease(1), lease(3)]);
    await journal.close();
  });
});
