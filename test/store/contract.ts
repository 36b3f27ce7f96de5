/** What every Store must do, whatever database is below it. */
import { describe, expect, test } from "vitest";
import type { RolloutRecord } from "../../src/rollout/rollout-record.ts";
import type { EventRecord, ImageTagRecord, Store } from "../../src/store/ports.ts";
import {
  digestOf,
  imageRecord,
  imageTagRecord,
  installIntent,
  machineRecord,
  macOf,
  NOW,
  newEvent,
  rolloutRecord,
  siteRecord,
  tokenRecord,
} from "./records.ts";

/** @param open a store that is empty; the suite closes it through `using` */
export function describeStoreContract(database: string, open: () => Promise<Store & AsyncDisposable>): void {
  async function openWithSite() {
    const store = await open();
    await store.commit([{ kind: "insert-site", site: siteRecord() }]);
    return store;
  }

  describe(`a store over ${database}`, () => {
    test("gives back a machine exactly as it was saved, by id, name and any of its MAC addresses", async () => {
      await using store = await openWithSite();
      const machine = machineRecord({
        macs: [macOf(9), macOf(2)],
        labels: { region: "eu" },
        state: { kind: "unhealthy", reason: "disk is full" },
        target: { rolloutId: "r-1", attempt: 2, image: digestOf("b"), strategy: "ab", may: "reboot" },
        denied: [{ image: digestOf("c"), reason: "app: exit 1", at: NOW }],
        lastSeenAt: NOW + 1,
      });
      expect(await store.commit([{ kind: "insert-machine", machine }])).toEqual({
        kind: "committed",
        events: [],
      });
      for (const reference of ["m-1", "node-1", macOf(9), "52-54-00-00-00-02"]) {
        expect(await store.findMachine(reference)).toEqual(machine);
      }
      expect(await store.findMachine("nobody")).toBeUndefined();
    });

    test("lets only the first of two updates of the same revision win", async () => {
      await using store = await openWithSite();
      await store.commit([{ kind: "insert-machine", machine: machineRecord() }]);
      const outcomes = await Promise.all(
        ["first", "second"].map(label =>
          store.commit([
            {
              kind: "update-machine",
              machine: machineRecord({ labels: { label }, revision: 2 }),
              expectedRevision: 1,
            },
          ]),
        ),
      );
      expect(outcomes).toEqual([
        { kind: "committed", events: [] },
        { kind: "conflict", changeIndex: 0, reason: "stale" },
      ]);
      expect((await store.findMachine("m-1"))?.labels).toEqual({ label: "first" });
    });

    test("keeps nothing of a commit when one of its changes is refused", async () => {
      await using store = await openWithSite();
      const outcome = await store.commit([
        { kind: "insert-machine", machine: machineRecord() },
        { kind: "append-event", event: newEvent() },
        { kind: "delete-token", id: "t-none" },
      ]);
      expect(outcome).toEqual({ kind: "conflict", changeIndex: 2, reason: "missing" });
      expect(await store.findMachine("m-1")).toBeUndefined();
      expect(await store.listEvents({ limit: 10, from: "oldest" })).toEqual([]);
    });

    test("keeps the other commits of a moment when one of them is refused", async () => {
      await using store = await openWithSite();
      const outcomes = await Promise.all([
        store.commit([{ kind: "insert-machine", machine: machineRecord() }]),
        store.commit([{ kind: "insert-machine", machine: machineRecord({ id: "m-2" }) }]),
        store.commit([
          { kind: "insert-machine", machine: machineRecord({ id: "m-3", name: "node-3", macs: [macOf(3)] }) },
        ]),
      ]);
      expect(outcomes.map(outcome => outcome.kind)).toEqual(["committed", "conflict", "committed"]);
      expect((await store.listMachines({ limit: 10 })).map(machine => machine.id)).toEqual(["m-1", "m-3"]);
    });

    test("gives a MAC address to one machine only, and frees it when the machine lets go", async () => {
      await using store = await openWithSite();
      await store.commit([{ kind: "insert-machine", machine: machineRecord() }]);
      const second = machineRecord({ id: "m-2", name: "node-2", macs: [macOf(2), macOf(1)] });
      const taken = { kind: "conflict", changeIndex: 0, reason: "taken" };
      expect(await store.commit([{ kind: "insert-machine", machine: second }])).toEqual(taken);
      await store.commit([
        {
          kind: "update-machine",
          machine: machineRecord({ macs: [macOf(7)], revision: 2 }),
          expectedRevision: 1,
        },
      ]);
      expect((await store.commit([{ kind: "insert-machine", machine: second }])).kind).toBe("committed");
      await store.commit([{ kind: "delete-machine", id: "m-2", expectedRevision: 1 }]);
      expect(await store.findMachine(macOf(2))).toBeUndefined();
    });

    test("refuses a rename to a name that another machine has", async () => {
      await using store = await openWithSite();
      await store.commit([
        { kind: "insert-machine", machine: machineRecord() },
        { kind: "insert-machine", machine: machineRecord({ id: "m-2", name: "node-2", macs: [macOf(2)] }) },
      ]);
      const outcome = await store.commit([
        {
          kind: "update-machine",
          machine: machineRecord({ name: "node-2", revision: 2 }),
          expectedRevision: 1,
        },
      ]);
      expect(outcome).toEqual({ kind: "conflict", changeIndex: 0, reason: "taken" });
    });

    test("says missing, not stale, for a machine and a site that are not there", async () => {
      await using store = await open();
      const missing = { kind: "conflict", changeIndex: 0, reason: "missing" };
      expect(
        await store.commit([{ kind: "update-machine", machine: machineRecord(), expectedRevision: 1 }]),
      ).toEqual(missing);
      expect(await store.commit([{ kind: "delete-machine", id: "m-1", expectedRevision: 1 }])).toEqual(
        missing,
      );
      expect(await store.commit([{ kind: "update-site", site: siteRecord(), expectedRevision: 1 }])).toEqual(
        missing,
      );
    });

    test("lists machines by name in pages, filtered by site and state, and counts them by state", async () => {
      await using store = await openWithSite();
      await store.commit([{ kind: "insert-site", site: siteRecord({ id: "s-2", name: "other" }) }]);
      await store.commit(
        [4, 2, 3, 1].map(number => ({
          kind: "insert-machine" as const,
          machine: machineRecord({
            id: `m-${number}`,
            name: `node-${number}`,
            macs: [macOf(number)],
            siteId: number === 4 ? "s-2" : "s-local",
            state: number === 3 ? { kind: "discovered" } : { kind: "expected" },
          }),
        })),
      );
      const names = async (filter: Parameters<Store["listMachines"]>[0]) =>
        (await store.listMachines(filter)).map(machine => machine.name);
      expect(await names({ limit: 2 })).toEqual(["node-1", "node-2"]);
      expect(await names({ limit: 2, after: "node-2" })).toEqual(["node-3", "node-4"]);
      expect(await names({ limit: 9, siteId: "s-2" })).toEqual(["node-4"]);
      expect(await names({ limit: 9, stateKind: "discovered" })).toEqual(["node-3"]);
      expect(await store.countMachines()).toEqual(
        new Map([
          ["discovered", 1],
          ["expected", 3],
        ]),
      );
      expect(await store.countMachines("s-2")).toEqual(new Map([["expected", 1]]));
    });

    test("finds images by digest, prefix, name and version, newest first", async () => {
      await using store = await open();
      const v1 = imageRecord();
      const v2 = imageRecord({ digest: digestOf("b"), version: "v2", pushedAt: NOW + 1 });
      const rebuilt = imageRecord({ digest: digestOf("c"), version: "v2", pushedAt: NOW + 2 });
      await store.commit([v1, v2, rebuilt].map(image => ({ kind: "insert-image" as const, image })));
      expect(await store.findImages(v1.digest)).toEqual([v1]);
      expect(await store.findImages("aaaa")).toEqual([v1]);
      expect(await store.findImages("sha256:aaaaaa")).toEqual([v1]);
      expect(await store.findImages("app:v1")).toEqual([v1]);
      expect(await store.findImages("v2")).toEqual([rebuilt, v2]);
      expect(await store.findImages("other:v1")).toEqual([]);
      expect(await store.listImages({ limit: 2 })).toEqual([rebuilt, v2]);
      expect(await store.listImages({ limit: 2, after: v2.digest })).toEqual([v1]);
    });

    test("keeps an image that a machine runs or that an open intent names", async () => {
      await using store = await openWithSite();
      const image = imageRecord();
      const intent = installIntent(image.digest);
      await store.commit([
        { kind: "insert-image", image },
        { kind: "insert-machine", machine: machineRecord({ state: { kind: "assigned", intent } }) },
      ]);
      const remove = () => store.commit([{ kind: "delete-image", digest: image.digest }]);
      expect(await remove()).toEqual({ kind: "conflict", changeIndex: 0, reason: "stale" });
      await store.commit([{ kind: "delete-machine", id: "m-1", expectedRevision: 1 }]);
      expect((await remove()).kind).toBe("committed");
      expect(await remove()).toEqual({ kind: "conflict", changeIndex: 0, reason: "missing" });
    });

    test("keeps an image that a machine should run, that is a baseline, or that an open rollout brings or takes back", async () => {
      await using store = await openWithSite();
      const target = {
        rolloutId: "r-0",
        attempt: 1,
        image: digestOf("d"),
        strategy: "ab",
        may: "reboot",
      } as const;
      const rollout = rolloutRecord();
      await store.commit([
        ...["a", "b", "c", "d", "e"].map(letter => ({
          kind: "insert-image" as const,
          image: imageRecord({ digest: digestOf(letter) }),
        })),
        { kind: "insert-machine", machine: machineRecord({ target }) },
        {
          kind: "update-site",
          site: siteRecord({ baseline: digestOf("e"), revision: 2 }),
          expectedRevision: 1,
        },
        { kind: "insert-rollout", rollout },
      ]);
      const remove = async (letter: string) => {
        const outcome = await store.commit([{ kind: "delete-image", digest: digestOf(letter) }]);
        return outcome.kind === "conflict" ? outcome.reason : outcome.kind;
      };
      for (const letter of ["a", "b", "c", "d", "e"]) expect(await remove(letter)).toBe("stale");
      await store.commit([
        {
          kind: "update-rollout",
          rollout: { ...rollout, state: { kind: "done", at: NOW }, revision: 2 },
          expectedRevision: 1,
        },
      ]);
      for (const letter of ["a", "b", "c"]) expect(await remove(letter)).toBe("committed");
      for (const letter of ["d", "e"]) expect(await remove(letter)).toBe("stale");
    });

    test("moves a tag only from where it was seen, and remembers every place", async () => {
      await using store = await openWithSite();
      await store.commit([
        { kind: "insert-image", image: imageRecord() },
        { kind: "insert-image", image: imageRecord({ digest: digestOf("b"), version: "v2" }) },
        { kind: "insert-image", image: imageRecord({ digest: digestOf("c"), name: "db" }) },
      ]);
      const first = imageTagRecord();
      const move = (expectedRevision: number, change: Partial<ImageTagRecord> = {}) =>
        store.commit([
          {
            kind: "set-image-tag",
            tag: { ...first, revision: expectedRevision + 1, ...change },
            expectedRevision,
          },
        ]);
      expect((await move(0)).kind).toBe("committed");
      expect(await move(0)).toMatchObject({ reason: "stale" });
      const both = await Promise.all([
        move(1, { digest: digestOf("b"), version: "v2" }),
        move(1, { digest: null, version: null }),
      ]);
      expect(both.map(({ kind }) => kind).sort()).toEqual(["committed", "conflict"]);
      expect(await move(2, { digest: digestOf("c") })).toMatchObject({ reason: "missing" });
      expect(await move(2, { digest: digestOf("d") })).toMatchObject({ reason: "missing" });
      expect(await move(0, { tag: "v2" })).toMatchObject({ reason: "taken" });
      expect((await store.listImageTagMoves("app", "stable", 10)).map(({ digest }) => digest)).toEqual([
        digestOf("b"),
        digestOf("a"),
      ]);
      expect((await move(2, { digest: null, version: null })).kind).toBe("committed");
      expect(await store.listImageTags()).toEqual([]);
      expect(await store.findImageTag("app", "stable")).toMatchObject({ digest: null, revision: 3 });
      expect((await move(3)).kind).toBe("committed");
      expect(await store.listImageTags()).toEqual([{ ...first, revision: 4 }]);
    });

    test("finds an image by its tag, and every image that a word may mean", async () => {
      await using store = await openWithSite();
      const v1 = imageRecord();
      const other = imageRecord({ digest: digestOf("c"), name: "db", pushedAt: NOW + 1 });
      await store.commit([
        { kind: "insert-image", image: v1 },
        { kind: "insert-image", image: other },
        { kind: "set-image-tag", tag: imageTagRecord(), expectedRevision: 0 },
        {
          kind: "set-image-tag",
          tag: imageTagRecord({ name: "db", digest: other.digest }),
          expectedRevision: 0,
        },
      ]);
      expect(await store.findImages("app:stable")).toEqual([v1]);
      expect(await store.findImages("stable")).toEqual([other, v1]);
      const late = imageRecord({ digest: digestOf("d"), version: "stable", pushedAt: NOW + 2 });
      await store.commit([{ kind: "insert-image", image: late }]);
      expect(await store.findImages("app:stable")).toEqual([late, v1]);
    });

    test("keeps an image that a tag names, and from a prune one that a site ran before its last rollout", async () => {
      await using store = await openWithSite();
      const rollout = rolloutRecord();
      await store.commit([
        ...["a", "b", "c"].map(letter => ({
          kind: "insert-image" as const,
          image: imageRecord({ digest: digestOf(letter), version: letter }),
        })),
        { kind: "insert-rollout", rollout },
        { kind: "set-image-tag", tag: imageTagRecord({ digest: digestOf("b") }), expectedRevision: 0 },
      ]);
      await store.commit([
        {
          kind: "update-rollout",
          rollout: { ...rollout, state: { kind: "done", at: NOW }, revision: 2 },
          expectedRevision: 1,
        },
      ]);
      const remove = async (letter: string, keepPrevious: boolean) => {
        const outcome = await store.commit([
          {
            kind: "delete-image",
            digest: digestOf(letter),
            ...(keepPrevious ? { keepPrevious: true as const } : {}),
          },
        ]);
        return outcome.kind === "conflict" ? outcome.reason : outcome.kind;
      };
      expect(await remove("b", false)).toBe("stale");
      expect(await remove("a", true)).toBe("stale");
      expect(await remove("c", true)).toBe("stale");
      expect(await remove("a", false)).toBe("committed");
      expect((await store.listPreviousImages()).map(({ digest }) => digest).sort()).toEqual([
        digestOf("a"),
        digestOf("c"),
      ]);
    });

    test("lets go of what a site ran before, once another rollout is done there", async () => {
      await using store = await openWithSite();
      const end = async (id: string, from: string, image: string, change: Partial<RolloutRecord>) => {
        const { plan, ...rest } = rolloutRecord({ id });
        const waves = [
          {
            label: "100%",
            sites: [
              {
                siteId: "s-local",
                name: "local",
                baselineBefore: digestOf(from),
                machines: [{ machineId: "m-1", name: "node-1", from: digestOf(from) }],
              },
            ],
          },
        ];
        const rollout = { ...rest, plan: { ...plan, image: digestOf(image), waves } };
        await store.commit([{ kind: "insert-rollout", rollout }]);
        await store.commit([
          { kind: "update-rollout", rollout: { ...rollout, ...change, revision: 2 }, expectedRevision: 1 },
        ]);
        return (await store.listPreviousImages()).map(({ digest }) => digest[7]).sort();
      };
      const done = { state: { kind: "done", at: NOW } } as const;
      expect(await end("r-1", "a", "b", done)).toEqual(["a"]);
      expect(await end("r-2", "b", "c", done)).toEqual(["b"]);
      const undone = { state: { kind: "rolled-back", reason: "x", at: NOW } } as const;
      expect(await end("r-3", "c", "d", undone)).toEqual(["b"]);
      const half = { state: { kind: "rollback-incomplete", reason: "x", at: NOW } } as const;
      expect(await end("r-4", "c", "e", half)).toEqual(["b", "c"]);
      expect(await end("r-5", "c", "c", done)).toEqual(["b", "c"]);
    });

    test("gives a site to one open rollout only, and frees it when that rollout ends", async () => {
      await using store = await openWithSite();
      const first = rolloutRecord();
      const second = rolloutRecord({ id: "r-2", createdAt: NOW + 1 });
      await store.commit([{ kind: "insert-rollout", rollout: first }]);
      expect(await store.commit([{ kind: "insert-rollout", rollout: second }])).toEqual({
        kind: "conflict",
        changeIndex: 0,
        reason: "taken",
      });
      const ended = { ...first, state: { kind: "done", at: NOW }, revision: 2 } as const;
      const end = () => store.commit([{ kind: "update-rollout", rollout: ended, expectedRevision: 1 }]);
      expect((await end()).kind).toBe("committed");
      expect(await end()).toEqual({ kind: "conflict", changeIndex: 0, reason: "stale" });
      expect((await store.commit([{ kind: "insert-rollout", rollout: second }])).kind).toBe("committed");
      expect(await store.findRollout("r-1")).toEqual(ended);
      expect(await store.findRollout("r-9")).toBeUndefined();
      expect(await store.listRollouts({ limit: 9 })).toEqual([second, ended]);
      expect(await store.listRollouts({ limit: 9, onlyOpen: true })).toEqual([second]);
      expect(await store.listRollouts({ limit: 9, after: "r-2" })).toEqual([ended]);
    });

    test("finds a site by its join token until it has joined, and by its key from then on", async () => {
      await using store = await open();
      const invited = siteRecord({
        membership: { kind: "invited", tokenHash: "1".repeat(64), expiresAt: NOW + 1 },
      });
      await store.commit([{ kind: "insert-site", site: invited }]);
      expect(await store.findSiteByJoinToken("1".repeat(64))).toEqual(invited);
      const joined = siteRecord({
        membership: { kind: "joined", keyFingerprint: "2".repeat(64), joinedAt: NOW, reportsKept: 7 },
        lastSeenAt: NOW + 2,
        baseline: digestOf("a"),
        revision: 2,
      });
      await store.commit([{ kind: "update-site", site: joined, expectedRevision: 1 }]);
      expect(await store.findSiteByJoinToken("1".repeat(64))).toBeUndefined();
      expect(await store.findSiteByKey("2".repeat(64))).toEqual(joined);
      expect(await store.findSiteByKey("3".repeat(64))).toBeUndefined();
    });

    test("keeps the first reason why an image was denied", async () => {
      await using store = await open();
      const denied = { digest: digestOf("a"), reason: "app: exit 1", rolloutId: "r-1", at: NOW };
      await store.commit([{ kind: "deny-image", denied }]);
      const again = { ...denied, reason: "another", rolloutId: "r-2", at: NOW + 1 };
      expect((await store.commit([{ kind: "deny-image", denied: again }])).kind).toBe("committed");
      expect(await store.listDeniedImages()).toEqual([denied]);
    });

    test("finds a token by its hash and by nothing else, and forgets it when it is deleted", async () => {
      await using store = await open();
      const token = tokenRecord({ expiresAt: NOW + 5 });
      await store.commit([{ kind: "insert-token", token }]);
      expect(await store.findTokenByHash(token.secretHash)).toEqual(token);
      expect(await store.listTokens()).toEqual([token]);
      await store.commit([{ kind: "delete-token", id: token.id }]);
      expect(await store.findTokenByHash(token.secretHash)).toBeUndefined();
    });

    test("numbers events without a gap and tells listeners in that order, after the commit", async () => {
      await using store = await open();
      const heard: EventRecord[] = [];
      const stop = store.onEvents(events => heard.push(...events));
      await Promise.all(
        [1, 2, 3, 4, 5].map(number =>
          store.commit([
            { kind: "append-event", event: newEvent({ summary: `first of ${number}` }) },
            { kind: "append-event", event: newEvent({ summary: `second of ${number}`, facts: { number } }) },
          ]),
        ),
      );
      expect(heard.map(event => event.id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect(await store.listEvents({ limit: 100, from: "oldest" })).toEqual(heard);
      stop();
      await store.commit([{ kind: "append-event", event: newEvent() }]);
      expect(heard).toHaveLength(10);
    });

    test("tells what each commit changed, before it resolves, and nothing of one that was refused", async () => {
      await using store = await openWithSite();
      const heard: unknown[] = [];
      store.onCommitted(changes => heard.push(changes));
      const insert = [{ kind: "insert-machine", machine: machineRecord() }] as const;
      await store.commit(insert);
      expect(heard).toEqual([insert]);
      await store.commit(insert);
      expect(heard).toHaveLength(1);
    });

    test("refuses an order for an image that has just been removed", async () => {
      await using store = await openWithSite();
      const order = [
        { kind: "require-image", digest: digestOf("a") },
        { kind: "insert-machine", machine: machineRecord() },
      ] as const;
      expect(await store.commit(order)).toEqual({ kind: "conflict", changeIndex: 0, reason: "missing" });
      await store.commit([{ kind: "insert-image", image: imageRecord() }]);
      expect((await store.commit(order)).kind).toBe("committed");
    });

    test("lists events after a cursor, the newest ones in rising order, and those of one machine, MAC, site or nobody", async () => {
      await using store = await open();
      await store.commit([
        { kind: "append-event", event: newEvent({ machineId: "m-1" }) },
        { kind: "append-event", event: newEvent({ mac: macOf(1) }) },
        { kind: "append-event", event: newEvent({ siteId: "s-local" }) },
        { kind: "append-event", event: newEvent({ machineId: "m-1", mac: macOf(1) }) },
      ]);
      const ids = async (filter: Partial<Parameters<Store["listEvents"]>[0]>) =>
        (await store.listEvents({ limit: 2, from: "oldest", ...filter })).map(event => event.id);
      expect(await ids({})).toEqual([1, 2]);
      expect(await ids({ afterId: 2 })).toEqual([3, 4]);
      expect(await ids({ from: "newest" })).toEqual([3, 4]);
      expect(await ids({ machineId: "m-1" })).toEqual([1, 4]);
      expect(await ids({ mac: macOf(1) })).toEqual([2, 4]);
      expect(await ids({ mac: null, siteId: "s-local" })).toEqual([3]);
      expect(await ids({ siteId: "s-local" })).toEqual([3]);
    });
  });
}
