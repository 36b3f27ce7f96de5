import { expect, test } from "vitest";
import { orderRollback, pauseRollout, resumeRollout } from "../../src/rollout/operator.ts";
import { fleetWith, machineIn, requestWith, Scenario, siteWith, V1, V2 } from "./helpers/fleet.ts";

/** With this seed Berlin, which has two machines, is the canary. */
const BERLIN_FIRST = { seed: "a" };

function begin(change: Parameters<typeof requestWith>[0] = {}): Scenario {
  const scenario = new Scenario(fleetWith(), requestWith({ ...BERLIN_FIRST, ...change }));
  scenario.wait(5);
  return scenario;
}

function print(scenario: Scenario): string {
  return `\n${scenario.timeline.join("\n")}\n`;
}

test("a good release goes through two sites, and their baselines move", () => {
  const scenario = begin();
  scenario.obey("b1");
  scenario.obey("b2");
  scenario.wait(30);
  scenario.obey("r1");
  scenario.wait(30);
  expect(print(scenario)).toMatchSnapshot();
  expect(scenario.rollout.state.kind).toBe("done");
  expect([...scenario.sites.values()].map(site => site.baseline)).toEqual([V2, V2]);
});

test("a bad release falls back on the first machine, is rolled back with proof, and denied", () => {
  const scenario = begin();
  scenario.wait(5);
  scenario.fallBack("b1", "health check app failed: exit code 1");
  expect(print(scenario)).toMatchSnapshot();
  expect(scenario.rollout.state.kind).toBe("rolled-back");
  expect(scenario.rollout.machines).toMatchObject({
    "m-b1": { kind: "returned", image: V1, bootId: "boot-3" },
    "m-b2": { kind: "untouched", image: V1 },
    "m-r1": { kind: "untouched", image: V1 },
  });
  expect(scenario.deniedFleetWide).toEqual([V2]);
  expect(scenario.machine("b1").denied.map(denial => denial.image)).toEqual([V2]);
});

test("machines that serve on a bad release go back one after another, and baselines with them", () => {
  const scenario = begin();
  scenario.obey("b1");
  scenario.obey("b2");
  scenario.wait(30);
  scenario.fallBack("r1", "health check app failed");
  expect([...scenario.sites.values()].map(site => site.baseline)).toEqual([V1, V1]);
  expect(scenario.machine("b2").target).toBeNull();
  scenario.obey("b1");
  scenario.obey("b2");
  expect(print(scenario)).toMatchSnapshot();
  expect(scenario.rollout.state.kind).toBe("rolled-back");
});

test("a pause stops reboots and grants, and resuming goes on", () => {
  const scenario = begin();
  scenario.report("b1", "armed");
  scenario.operator(pauseRollout);
  expect(scenario.machine("b1").target?.may).toBe("nothing");
  scenario.wait(900);
  expect(scenario.rollout.machines["m-b1"]?.kind).toBe("updating");
  scenario.operator(resumeRollout);
  expect(scenario.machine("b1").target?.may).toBe("reboot");
  scenario.obey("b1");
  expect(scenario.machine("b2").target?.image).toBe(V2);
  expect(print(scenario)).toMatchSnapshot();
});

test("a site that is not reachable holds its wave, and the wave goes on when it is back", () => {
  const scenario = begin();
  scenario.report("b1", "fetching");
  scenario.cutOff("s-berlin");
  scenario.wait(1_000);
  expect(scenario.rollout.waves[0]?.kind).toBe("held");
  scenario.reconnect("s-berlin");
  scenario.wait(5);
  expect(scenario.rollout.waves[0]?.kind).toBe("open");
  scenario.obey("b1");
  expect(scenario.rollout.machines["m-b1"]?.kind).toBe("confirmed");
  expect(print(scenario)).toMatchSnapshot();
});

test("a power cut in mid-update earns one second attempt, and a second one fails", () => {
  const scenario = begin();
  scenario.report("b1", "fetching");
  scenario.boot("b1", V1);
  expect(scenario.machine("b1").target?.attempt).toBe(2);
  scenario.obey("b1");
  expect(scenario.rollout.machines["m-b1"]).toMatchObject({ kind: "confirmed", attempt: 2 });
  scenario.boot("b2", V1);
  scenario.boot("b2", V1);
  expect(scenario.rollout.state.kind).toBe("rolling-back");
  expect(print(scenario)).toMatchSnapshot();
});

test("a machine that is silent past its deadline fails, and the rollback says that it is not proven back", () => {
  const scenario = begin();
  scenario.report("b1", "armed");
  scenario.cutOff("m-b1");
  scenario.wait(700);
  expect(scenario.rollout.state.kind).toBe("rollback-incomplete");
  expect(print(scenario)).toMatchSnapshot();
});

test("a confirmed machine that turns unhealthy during the soak fails its wave", () => {
  const scenario = begin();
  scenario.obey("b1");
  scenario.obey("b2");
  expect(scenario.rollout.waves[0]?.kind).toBe("soaking");
  scenario.setHealth("b1", "app: exit code 1");
  expect(scenario.rollout.waves[0]).toMatchObject({ kind: "failed" });
  expect(scenario.machine("b1").target?.image).toBe(V1);
});

test("a confirmed machine that falls silent holds its wave first, and fails it in the end", () => {
  const scenario = begin({ soakSeconds: 600 });
  scenario.obey("b1");
  scenario.obey("b2");
  scenario.cutOff("m-b1");
  scenario.wait(70);
  expect(scenario.rollout.waves[0]).toMatchObject({ kind: "held", reason: expect.stringContaining("b1") });
  scenario.wait(310);
  expect(scenario.rollout.state.kind).toBe("rolling-back");
});

test("a machine of a wave that has passed is the gate's business no more", () => {
  const scenario = begin();
  scenario.obey("b1");
  scenario.obey("b2");
  scenario.wait(30);
  scenario.setHealth("b1", "app: exit code 1");
  scenario.obey("r1");
  scenario.wait(30);
  expect(scenario.rollout.state.kind).toBe("done");
});

test("an old image, an unconfirmed slot, a failing check or the boot from before confirm nothing", () => {
  const scenario = begin();
  const at = () => scenario.rollout.machines["m-b1"]?.kind;
  scenario.report("b1", "confirmed");
  expect(at()).toBe("updating");
  scenario.boot("b1", V2, { slotConfirmed: false });
  expect(at()).toBe("updating");
  scenario.boot("b1", V2, { health: [{ name: "app", status: "fail", detail: "exit code 1" }] });
  expect(at()).toBe("updating");
  scenario.boot("b1", V2, { health: [{ name: "app", status: "no-data", detail: "" }] });
  expect(at()).toBe("updating");
  scenario.boot("b1", V2, { health: [{ name: "app", status: "pass", detail: "" }] });
  expect(at()).toBe("confirmed");
});

test("what a machine says of an older attempt counts for nothing", () => {
  const scenario = begin();
  scenario.boot("b1", V1);
  const update = {
    rolloutId: "r-1",
    attempt: 1,
    phase: "failed",
    doneBytes: 0,
    totalBytes: 0,
    reason: "late",
  };
  scenario.hear("b1", { update });
  expect(scenario.rollout.machines["m-b1"]).toMatchObject({ kind: "updating", attempt: 2 });
});

test("a hub that comes up after a deadline listens first, and then counts silence", () => {
  const scenario = begin();
  scenario.report("b1", "fetching");
  scenario.now += 3_600_000;
  scenario.listeningSince = scenario.now;
  scenario.cutOff("m-b1");
  scenario.wait(60);
  expect(scenario.rollout.machines["m-b1"]?.kind).toBe("updating");
  scenario.wait(400);
  expect(scenario.rollout.state.kind).toBe("rolling-back");
});

test("an image that another rollout's gate denies is rolled back here too", () => {
  const scenario = begin();
  scenario.imageDenied = "web-7 fell back";
  scenario.step();
  expect(scenario.rollout.state).toMatchObject({
    kind: "rolling-back",
    reason: "app:v2 was denied meanwhile: web-7 fell back",
  });
  scenario.obey("b1");
  expect(scenario.rollout.state.kind).toBe("rolled-back");
});

test("an operator's rollback calls the machine in flight back, and denies the image nowhere", () => {
  const scenario = begin();
  scenario.obey("b1");
  scenario.report("b2", "armed");
  scenario.operator(orderRollback);
  expect(scenario.machine("b2").target).toMatchObject({ image: V1, attempt: 2 });
  scenario.obey("b2");
  scenario.obey("b1");
  expect(scenario.rollout.state.kind).toBe("rolled-back");
  expect(scenario.deniedFleetWide).toEqual([]);
  expect(print(scenario)).toMatchSnapshot();
});

test("a reimage orders the install with the target, for one machine, and leaves the baseline", () => {
  const scenario = begin({ strategy: "reimage", machine: "b2" });
  expect(scenario.machine("b2").target).toMatchObject({ strategy: "reimage", image: V2 });
  scenario.boot("b2", V2);
  scenario.wait(30);
  expect(scenario.rollout.state.kind).toBe("done");
  expect(scenario.sites.get("s-berlin")?.baseline).toBe(V1);
  expect(print(scenario)).toMatchSnapshot();
});

test("a site whose machines all run the image goes into the last wave, and its baseline moves", () => {
  const current = machineIn("oslo", "o1");
  const oslo = { ...current, running: current.running && { ...current.running, image: V2 } };
  const { sites, machines } = fleetWith();
  const fleet = fleetWith({ sites: [...sites, siteWith("oslo")], machines: [...machines, oslo] });
  const scenario = new Scenario(fleet, requestWith(BERLIN_FIRST));
  expect(scenario.rollout.plan.waves.map(wave => wave.sites.map(site => site.name))).toEqual([
    ["berlin"],
    ["rome", "oslo"],
  ]);
});
