import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { MachineRecord } from "../../src/agent/hub/machine-record.ts";
import { startTestHub, type TestHub } from "../api/hub.ts";
import { digestOf, imageRecord, installIntent, machineRecord, macOf, newEvent } from "../store/records.ts";
import { endOf, type HubUser, runDrp, startDrp, userOf } from "./run-drp.ts";

let hub: TestHub;
let user: HubUser;
let lastMachine = 0;

beforeAll(async () => {
  hub = await startTestHub();
  user = userOf(hub);
  await hub.store.commit([{ kind: "insert-image", image: imageRecord() }]);
});

afterAll(async () => {
  user[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

const drp = (...args: string[]) => runDrp(args, user.env);

async function enter(overrides: Partial<MachineRecord> = {}): Promise<MachineRecord> {
  lastMachine++;
  const machine = machineRecord({
    id: `m-${lastMachine}`,
    name: `node-${lastMachine}`,
    macs: [macOf(lastMachine)],
    ...overrides,
  });
  await hub.store.commit([{ kind: "insert-machine", machine }]);
  return machine;
}

/** What the hub does on a machine's report: a new state and an event. */
async function moveTo(name: string, change: Partial<MachineRecord>): Promise<void> {
  const before = await hub.store.findMachine(name);
  if (before === undefined) throw new Error(`no machine ${name}`);
  const machine = { ...before, ...change, revision: before.revision + 1 };
  await hub.store.commit([
    { kind: "update-machine", machine, expectedRevision: before.revision },
    { kind: "append-event", event: newEvent({ machineId: before.id, summary: "moved" }) },
  ]);
}

const running: NonNullable<MachineRecord["running"]> = {
  image: digestOf("a"),
  slot: "a",
  bootId: "00000000-0000-4000-8000-000000000001",
  installGeneration: 1,
  bootCount: 1,
  seq: 1,
  uptimeSeconds: 9,
  agentVersion: "0.1.0",
  health: [],
  slotConfirmed: true,
  update: null,
  receivedAt: 1,
};

test("a machine is entered, shown by its MAC, renamed and forgotten", async () => {
  expect(await drp("machines", "create", "till-1", "--mac", "5254.00aa.0001", "-o", "table")).toEqual({
    code: 0,
    stdout: "machine till-1 entered at site local\n",
    stderr: "",
  });
  const shown = await drp("machines", "show", "52:54:00:aa:00:01");
  expect(JSON.parse(shown.stdout)).toMatchObject({ name: "till-1", state: { kind: "expected" } });
  expect((await drp("machines", "update", "till-1", "--name", "till-9", "--label", "rack=b")).code).toBe(0);
  expect(JSON.parse((await drp("machines", "show", "till-9")).stdout).labels).toEqual({ rack: "b" });
  expect((await drp("machines", "destroy", "till-9")).code).toBe(0);
  expect(await drp("machines", "show", "till-9")).toMatchObject({ code: 1, stdout: "" });
});

test("a list is one JSON document a line when it does not go to a terminal", async () => {
  const [one, other] = [await enter(), await enter()];
  const { stdout, code } = await drp("machines", "list");
  const names = stdout
    .trimEnd()
    .split("\n")
    .map(line => JSON.parse(line).name);
  expect(code).toBe(0);
  expect(names).toEqual(expect.arrayContaining([one.name, other.name]));
  expect(stdout).not.toContain("\u001b");
});

test("install --wait ends 0 once the machine is healthy on that image", async () => {
  const { name } = await enter();
  const { ended, intent } = await installAndWait(name);
  await moveTo(name, {
    state: { kind: "installing", intent, phase: "writing", doneBytes: 1, totalBytes: 2 },
  });
  await moveTo(name, { state: { kind: "healthy" }, running });
  const { code, stdout, stderr } = await ended;
  expect(stderr).toMatch(/^waiting for the machine to boot from the network\n/);
  expect(JSON.parse(stdout)).toMatchObject({ name, state: { kind: "healthy" } });
  expect(code).toBe(0);
});

test("install --wait ends 1 with the machine's own reason when the install failed", async () => {
  const { name } = await enter();
  const { ended } = await installAndWait(name);
  await moveTo(name, { state: { kind: "install-failed", reason: "/dev/vda holds a file system" } });
  const { code, stdout, stderr } = await ended;
  expect(stderr).toContain(`drp: ${name} is install-failed: /dev/vda holds a file system`);
  expect(stderr).toContain(`→ See what happened with: drp why ${name}`);
  expect(stdout).toBe("");
  expect(code).toBe(1);
});

test("install --wait does not take a machine that fell back to its old image for installed", async () => {
  const old = { ...running, image: digestOf("b") };
  const { name } = await enter({ state: { kind: "healthy" }, running: old });
  const { ended } = await installAndWait(name);
  expect((await drp("machines", "cancel-install", name)).code).toBe(0);
  const { code, stderr } = await ended;
  expect(stderr).toContain(`the install of ${name} was taken back`);
  expect(code).toBe(1);
});

test("wait ends 3 when the time is over and says what the machine was doing", async () => {
  const { name } = await enter({
    state: { kind: "assigned", intent: installIntent(digestOf("a"), { expiresAt: Date.now() + 60_000 }) },
  });
  const { code, stderr } = await drp("machines", "wait", name, "--for", "healthy", "--timeout", "1s");
  expect(stderr).toContain(
    `drp: ${name} was not healthy after 1 s: waiting for the machine to boot from the network`,
  );
  expect(code).toBe(3);
});

test("wait stays for a machine that has not shown up yet", async () => {
  const waiting = runDrp(["machines", "wait", "late-1", "--for", "discovered"], user.env);
  await enter({ name: "late-1", state: { kind: "discovered" } });
  expect((await waiting).code).toBe(0);
});

test("why tells the state with its reason, then the timeline with the newest last", async () => {
  const { id, name } = await enter({ state: { kind: "unhealthy", reason: "app: exit code 7" } });
  await hub.store.commit([
    {
      kind: "append-event",
      event: newEvent({ machineId: id, kind: "dhcp.offer", summary: "offered 10.0.0.7" }),
    },
    {
      kind: "append-event",
      event: newEvent({ machineId: id, kind: "machine.unhealthy", severity: "alarm", summary: "app fails" }),
    },
  ]);
  const { stdout, code } = await drp("why", name, "-o", "table");
  expect(stdout).toBe(
    `${name} is unhealthy: app: exit code 7 (last seen never)\n` +
      "  2026-09-21 14:13:20Z  dhcp.offer            offered 10.0.0.7\n" +
      "  2026-09-21 14:13:20Z  machine.unhealthy     ALARM: app fails\n",
  );
  expect(code).toBe(0);
});

test("events watch prints what happens as it happens", async () => {
  const child = startDrp(["events", "watch"], user.env);
  const lines: string[] = [];
  const got = (text: string) =>
    new Promise<void>(done => {
      const look = () => lines.join("").includes(text) && done();
      child.stdout.on("data", look);
      look();
    });
  child.stdout.on("data", (part: Buffer) => lines.push(part.toString()));
  // The stream begins at the moment it is open: events are sent until the first one is seen.
  const sending = setInterval(() => void append("first"), 100);
  await got("first");
  clearInterval(sending);
  await append("second");
  await got("second");
  child.kill("SIGINT");
  expect(await new Promise(done => child.on("close", done))).toBe(0);

  function append(summary: string) {
    return hub.store.commit([{ kind: "append-event", event: newEvent({ summary }) }]);
  }
});

/** Orders an install and gives the machine's order once `--wait` has seen it. */
async function installAndWait(name: string) {
  const child = startDrp(["machines", "install", name, "--image", "v1", "--wait"], user.env);
  const ended = endOf(child);
  await once(child.stderr, "data");
  const machine = await hub.store.findMachine(name);
  if (machine?.state.kind !== "assigned") throw new Error(`${name} has no order`);
  return { ended, intent: machine.state.intent };
}
