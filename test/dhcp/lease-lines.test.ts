import { describe, expect, it } from "vitest";
import { encodeCheckedLine } from "../../src/core/checked-line.ts";
import type { Ipv4 } from "../../src/core/ipv4.ts";
import type { ClientKey } from "../../src/dhcp/client-key.ts";
import type { DurableChange } from "../../src/dhcp/lease-change.ts";
import { LeaseHistory, type LeaseHistoryQuery } from "../../src/dhcp/lease-history.ts";
import { decodeJournal, encodeChange, JOURNAL_HEADER } from "../../src/dhcp/lease-journal.ts";
import { ip, machine } from "./helpers/server.ts";

const A = ip("10.0.0.10");
const B = ip("10.0.0.11");
const FIRST = machine(1);
const SECOND: ClientKey = "id:ff0102";

const leased = (
  at: number,
  address: Ipv4,
  client: ClientKey,
  hostname: string | null = null,
): DurableChange => ({
  kind: "lease",
  at,
  lease: { address, client, hostname, expiresAt: at + 1000 },
});
const STORY: readonly DurableChange[] = [
  leased(100, A, FIRST, 'a "name"\nof lines'),
  leased(200, B, SECOND),
  { kind: "release", at: 300, address: A, client: FIRST },
  { kind: "revoke", at: 400, address: B, client: SECOND },
  { kind: "conflict", at: 500, address: A, client: SECOND, until: 600_500 },
  { kind: "decline", at: 600, address: B, client: FIRST, until: 600_600 },
];
const journal = (changes: readonly DurableChange[]) =>
  Buffer.from(JOURNAL_HEADER + changes.map(encodeChange).join(""));

describe("the lines of a lease journal", () => {
  it("keep every kind of change, with the time at which it happened", () => {
    expect(decodeJournal(journal(STORY), "leases")).toEqual(STORY);
  });

  it("are read up to the last whole one, wherever the file was cut", () => {
    const whole = journal(STORY);
    const ends = STORY.map((_change, index) => journal(STORY.slice(0, index + 1)).length);
    for (let length = 0; length <= whole.length; length++) {
      const kept = ends.filter(end => end <= length).length;
      expect(decodeJournal(whole.subarray(0, length), "leases")).toEqual(STORY.slice(0, kept));
    }
  });

  it("are refused, wherever one byte is damaged that has whole lines behind it", () => {
    const whole = journal(STORY);
    const lastLine = journal(STORY.slice(0, -1)).length;
    for (let offset = 0; offset < lastLine - 1; offset++) {
      const damaged = Buffer.from(whole);
      damaged[offset] = (damaged[offset] ?? 0) ^ 1;
      expect(() => decodeJournal(damaged, "leases")).toThrow("is damaged at byte");
    }
  });

  it("of the formats before this one are read too, and lose no lease", () => {
    const header = encodeCheckedLine({ format: "drp-leases", version: 1 });
    const lease = { kind: "lease", address: "10.0.0.10", hostname: null, until: 1000 };
    const lines = [
      { ...lease, mac: FIRST },
      { ...lease, client: SECOND, address: "10.0.0.11" },
      { kind: "release", address: "10.0.0.10", mac: FIRST },
      { kind: "decline", address: "10.0.0.11", client: SECOND, until: 2000 },
    ];
    const bytes = Buffer.from(header + lines.map(encodeCheckedLine).join(""));
    expect(decodeJournal(bytes, "leases")).toEqual([
      { kind: "lease", at: null, lease: { address: A, client: FIRST, hostname: null, expiresAt: 1000 } },
      { kind: "lease", at: null, lease: { address: B, client: SECOND, hostname: null, expiresAt: 1000 } },
      { kind: "release", at: null, address: A, client: FIRST },
      { kind: "decline", at: null, address: B, client: SECOND, until: 2000 },
    ]);
  });

  it("of a later format, and lines of nobody, are damage and not skipped", () => {
    const later = encodeCheckedLine({ format: "drp-leases", version: 3 });
    const nobody = encodeCheckedLine({ kind: "release", at: 1, address: "10.0.0.10" });
    for (const line of [later, nobody]) {
      const bytes = Buffer.from(line + STORY.map(encodeChange).join(""));
      expect(() => decodeJournal(bytes, "leases")).toThrow("is damaged at byte 0");
    }
  });
});

/** "600 10.0.0.11 declined" … */
function told(query: Partial<LeaseHistoryQuery>, ...journals: (readonly DurableChange[])[]): string[] {
  const history = new LeaseHistory({ address: null, client: null, limit: 100, ...query });
  for (const changes of journals) history.addJournal(changes);
  return history.entries().map(({ at, what }) => `${at} ${what}`);
}

describe("LeaseHistory", () => {
  it("tells what became of every address, the newest first", () => {
    expect(told({}, STORY)).toEqual([
      "600 declined",
      "500 conflict",
      "400 revoked",
      "300 released",
      "200 leased",
      "100 leased",
    ]);
  });

  it("tells of one address, of one machine, or of one on the other", () => {
    expect(told({ address: A }, STORY)).toEqual(["500 conflict", "300 released", "100 leased"]);
    expect(told({ client: FIRST }, STORY)).toEqual(["600 declined", "300 released", "100 leased"]);
    expect(told({ client: SECOND, address: A }, STORY)).toEqual(["500 conflict"]);
  });

  it("gives name and end of a lease, and until when an address rests", () => {
    const history = new LeaseHistory({ address: A, client: null, limit: 100 });
    history.addJournal(STORY);
    expect(history.entries()).toEqual([
      { at: 500, address: A, client: SECOND, hostname: null, what: "conflict", until: 600_500 },
      { at: 300, address: A, client: FIRST, hostname: null, what: "released", until: null },
      { at: 100, address: A, client: FIRST, hostname: 'a "name"\nof lines', what: "leased", until: 1100 },
    ]);
  });

  it("puts several journals together, and tells the newest of all of them", () => {
    const [older, newer] = [STORY.slice(0, 3), STORY.slice(3)];
    for (const journals of [
      [older, newer],
      [newer, older],
    ]) {
      expect(told({ limit: 4 }, ...journals)).toEqual([
        "600 declined",
        "500 conflict",
        "400 revoked",
        "300 released",
      ]);
    }
  });

  it("tells once what compaction repeats, within one journal and in the next", () => {
    // A compact journal begins with what still holds, however long ago it was.
    const repeated = [leased(200, B, SECOND), ...STORY.slice(3), ...STORY.slice(5)];
    expect(told({}, repeated, STORY)).toEqual(told({}, STORY));
    expect(told({ limit: 4 }, repeated, STORY)).toEqual(told({ limit: 4 }, STORY));
  });

  it("tells nothing of changes whose time nobody knows", () => {
    expect(told({}, [{ kind: "release", at: null, address: A, client: FIRST }])).toEqual([]);
  });

  it("keeps the newest of a long journal", () => {
    const long = Array.from({ length: 10_000 }, (_, index) => leased(index, A, FIRST));
    expect(told({ limit: 3 }, long)).toEqual(["9999 leased", "9998 leased", "9997 leased"]);
  });
});
