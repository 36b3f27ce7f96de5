import { once } from "node:events";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { startTestHub, type TestHub } from "../api/hub.ts";
import {
  bootIdOf,
  confirmed,
  moveRollout,
  rolledBack,
  runningOn,
  twoSites,
  writing,
} from "../helpers/rollouts.ts";
import { digestOf, NOW, newEvent } from "../store/records.ts";
import { endOf, type HubUser, runDrp, startDrp, userOf } from "./run-drp.ts";

let hub: TestHub;
let user: HubUser;

beforeAll(async () => {
  hub = await startTestHub();
  user = userOf(hub);
  await hub.store.commit(twoSites(NOW));
});

afterAll(async () => {
  user[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

const drp = (...args: string[]) => runDrp(args, user.env);
const ASKED = ["--image", "v2", "--wave", "1,100%", "--selector", "site!=local"];

/** One open rollout over both stores; ended when the test is, so that the next one finds them free. */
async function startRollout(): Promise<string> {
  const { stdout } = await drp("rollout", "start", ...ASKED, "-o", "json");
  const { id } = JSON.parse(stdout);
  onTestFinished(async () => {
    const rollout = await hub.store.findRollout(id);
    if (rollout !== undefined && rollout.state.kind !== "done") await end(id);
  });
  return id;
}

const end = (id: string) => moveRollout(hub.store, id, { state: { kind: "done", at: NOW } });

test("plan changes nothing, and its last line starts exactly that plan", async () => {
  const { code, stdout } = await drp("rollout", "plan", ...ASKED, "-o", "table");
  expect(code).toBe(0);
  expect(stdout).toContain("3 machines at 2 sites (site!=local)");
  expect(stdout).toMatch(/till-1 +app:v1 → app:v2/);
  expect(await hub.store.listRollouts({ limit: 1 })).toEqual([]);
  const command = stdout.trimEnd().split("\n").at(-1)?.trim().replaceAll("'", "").split(" ").slice(1) ?? [];
  const started = await drp(...command, "-o", "json");
  expect(started.stderr).toMatch(/follow it with: drp rollout watch r-/);
  const { id, plan } = JSON.parse(started.stdout);
  expect(command).toContain(plan.hash);
  await end(id);
});

test.each([
  [["--image", "v9", "--wave", "100%"], "no image is called v9", "drp images list"],
  [["--image", "v2", "--wave", "1,50%"], "50%", "100%"],
  [["--image", "v2", "--wave", "100%", "--selector", "region=mars"], "region=mars", "drp sites list"],
  [["--image", "v2", "--wave", "100%", "--machine", "till-9"], "till-9", "drp machines list"],
  [[...ASKED, "--plan", "0".repeat(64)], "the fleet has changed since plan 000000000000", "drp rollout plan"],
])(
  "%j is refused with the reason and the fix, exit code 2, and nothing has changed",
  async (flags, why, fix) => {
    const before = await hub.store.listEvents({ limit: 1, from: "newest" });
    for (const verb of ["plan", "start"]) {
      const { code, stdout, stderr } = await drp("rollout", verb, ...flags);
      expect(stderr).toContain(why);
      expect(stderr).toMatch(new RegExp(`→ .*${fix}`));
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    }
    expect(await hub.store.listEvents({ limit: 1, from: "newest" })).toEqual(before);
  },
);

test("a second rollout over the same sites is refused with 2", async () => {
  const id = await startRollout();
  const { code, stderr } = await drp("rollout", "start", ...ASKED);
  expect(stderr).toContain(id);
  expect(code).toBe(2);
});

test("pause, resume and rollback find the open rollout by themselves", async () => {
  const id = await startRollout();
  expect((await drp("rollout", "pause", "-o", "table")).stdout).toMatch(`${id} app:v2: paused by admin`);
  expect((await drp("rollout", "pause")).code).toBe(1);
  expect((await drp("rollout", "resume", "-o", "table")).stdout).toBe(`${id} app:v2: running\n`);
  expect((await drp("rollout", "rollback", "-o", "table")).stdout).toBe(
    `${id} app:v2: rolling back: admin ordered it\n`,
  );
  expect(JSON.parse((await drp("rollout", "status")).stdout)).toMatchObject({
    id,
    state: { kind: "rolling-back" },
  });
});

test("watch prints each step once and ends 0 when the rollout is done", async () => {
  const id = await startRollout();
  const { child, ended } = await watch(["watch", "-o", "table"], `${id} app:v2: running`);
  const { machines } = await current(id);
  await moveRollout(hub.store, id, { machines: { ...machines, "m-1": writing(NOW, 0.4) } });
  await heard(child, "till-1: fetching");
  await moveRollout(hub.store, id, {
    state: { kind: "done", at: NOW },
    machines: { "m-1": confirmed(NOW, 1), "m-2": confirmed(NOW, 2), "m-3": confirmed(NOW, 3) },
  });
  const { code, stdout } = await ended;
  expect(stdout).toContain(`store-north/till-1: confirmed (boot ${bootIdOf(1, 2)})`);
  expect(stdout).toContain(`${id} app:v2: done`);
  expect(stdout.match(/till-1: fetching/g)).toHaveLength(1);
  expect(code).toBe(0);
});

test("start --wait ends 1 when the rollout was undone, with the reason and the proof in its answer", async () => {
  const child = startDrp(["rollout", "start", ...ASKED, "--wait"], user.env);
  const ended = endOf(child);
  await once(child.stderr, "data");
  const [open] = await hub.store.listRollouts({ limit: 1, onlyOpen: true });
  if (open === undefined) throw new Error("nothing was started");
  const { state, waves, machines } = rolledBack(NOW);
  await moveRollout(hub.store, open.id, { state, waves, machines });
  const { code, stdout, stderr } = await ended;
  expect(stderr).toContain("rolled back: wave 1 failed: till-1 fell back: app: exit code 7 after 3 s");
  expect(JSON.parse(stdout)).toMatchObject({
    state: { kind: "rolled-back" },
    machines: { "m-1": { kind: "returned", image: digestOf("a"), bootId: bootIdOf(1, 3) } },
  });
  expect(code).toBe(1);
});

test("watch ends 1 when the rollback could not be proven everywhere", async () => {
  const id = await startRollout();
  const { ended } = await watch(["watch", id], '"running"');
  await moveRollout(hub.store, id, {
    state: { kind: "rollback-incomplete", reason: "till-1 is silent", at: NOW },
  });
  expect((await ended).code).toBe(1);
});

test("watch ends 3 when the time is over, and says where the rollout stood", async () => {
  const id = await startRollout();
  const { code, stderr } = await drp("rollout", "watch", "--timeout", "1s");
  expect(stderr).toContain(`drp: ${id} had not ended after 1 s: running`);
  expect(code).toBe(3);
});

test("sites create prints the token once and what to run at the site", async () => {
  const { code, stdout, stderr } = await drp(
    "sites",
    "create",
    "store-west",
    "--label",
    "region=eu",
    "-o",
    "table",
  );
  const token = stdout.trimEnd();
  expect(stderr).toContain(`drp site join ${token} --hub https://HUB:${hub.port} --config site.yaml\n`);
  expect(stderr).toContain("drp site run --config site.yaml\n");
  expect(code).toBe(0);
  const listed = await drp("sites", "list", "-o", "table");
  expect(listed.stdout).toMatch(/store-west +invited/);
  expect(JSON.parse((await drp("sites", "show", "store-west")).stdout)).toMatchObject({
    labels: { region: "eu" },
    membership: "invited",
  });
});

test("why says what a machine should run, how its last update ended, and what it never gets again", async () => {
  const before = await hub.store.findMachine("till-1");
  if (before === undefined) throw new Error("no till-1");
  const target = {
    rolloutId: "r-1",
    attempt: 1,
    image: digestOf("b"),
    strategy: "ab",
    may: "reboot",
  } as const;
  const update = {
    rolloutId: "r-1",
    attempt: 1,
    image: digestOf("b"),
    phase: "fell-back",
    doneBytes: 1,
    totalBytes: 1,
    reason: "app: exit code 7",
  } as const;
  const machine = {
    ...before,
    target,
    running: { ...runningOn(1, NOW), update },
    denied: [{ image: digestOf("b"), reason: "its trial failed: app: exit code 7", at: NOW }],
    revision: before.revision + 1,
  };
  await hub.store.commit([
    { kind: "update-machine", machine, expectedRevision: before.revision },
    {
      kind: "append-event",
      event: newEvent({ machineId: "m-1", kind: "update.fell-back", summary: "fell back" }),
    },
  ]);
  const { stdout, code } = await drp("why", "till-1", "-o", "table");
  expect(stdout.split("\n").slice(1)).toEqual([
    "  should run app:v2 by ab, rollout r-1, attempt 1: fell-back",
    "  last update: app: exit code 7",
    "  never gets app:v2 again since 2026-09-21 14:13:20Z: its trial failed: app: exit code 7",
    "  2026-09-21 14:13:20Z  update.fell-back      fell back",
    "",
  ]);
  expect(code).toBe(0);
});

async function current(id: string) {
  const rollout = await hub.store.findRollout(id);
  if (rollout === undefined) throw new Error(`no rollout ${id}`);
  return rollout;
}

/** @param first what shows that the watch has begun */
async function watch(args: string[], first: string) {
  const child = startDrp(["rollout", ...args], user.env);
  const ended = endOf(child);
  await heard(child, first);
  return { child, ended };
}

function heard(child: ReturnType<typeof startDrp>, text: string): Promise<void> {
  let seen = "";
  return new Promise(done =>
    child.stdout.on("data", (part: Buffer) => {
      seen += part.toString();
      if (seen.includes(text)) done();
    }),
  );
}
