import { describe, expect, test } from "vitest";
import { BOOT_RULES } from "../../../../src/agent/hub/explain/boot-rules.ts";
import {
  type BootExplanation,
  type ExplainInput,
  explainBoot,
} from "../../../../src/agent/hub/explain/explain-boot.ts";
import { nearMacs } from "../../../../src/agent/hub/explain/near-macs.ts";
import { bootExplanationSchema } from "../../../../src/api/wire.ts";
import { renderBootExplanation } from "../../../../src/cli/format/boot-view.ts";
import {
  address,
  at,
  BEGIN,
  discover,
  event,
  fetched,
  MAC,
  ramdiskBoot,
  request,
  siteEvent,
} from "./events.ts";
import { STORIES } from "./stories.ts";

const MINUTE_MS = 60_000;

function explain(input: Partial<ExplainInput>): BootExplanation {
  const lastAt = input.events?.at(-1)?.at ?? BEGIN;
  return explainBoot({
    mac: MAC,
    events: [],
    siteEvents: [],
    machineState: null,
    listening: [],
    unknownMachines: [],
    maxBoots: 10,
    now: lastAt + 10 * MINUTE_MS,
    ...input,
  });
}

function show(explanation: BootExplanation, now: number): string {
  const whole = { mac: MAC, machine: null, siteName: "shop-1", ...explanation };
  return renderBootExplanation(bootExplanationSchema.parse(whole), {
    now,
    widthColumns: 110,
    paint: (_tone, text) => text,
  });
}

describe("explainBoot() tells the end of a story:", () => {
  test.each(Object.entries(STORIES))("%s", async (name, { rule, says, golden, ...story }) => {
    const now = (story.events.at(-1)?.at ?? 0) + 10 * MINUTE_MS;
    const explanation = explain({ ...story, now });
    expect(explanation.boots.map(boot => boot.verdict.rule)).toContain(rule);
    const text = show(explanation, now);
    expect(text.replaceAll(/\s+/g, " ")).toContain(says);
    if (golden) await expect(text).toMatchFileSnapshot(`__snapshots__/${name.replaceAll(/\W+/g, "-")}.txt`);
  });

  test("and every rule has its story", () => {
    const told = new Set(Object.values(STORIES).map(({ rule }) => rule));
    expect(BOOT_RULES.map(({ name }) => name).filter(name => !told.has(name))).toEqual([]);
  });
});

test("a boot that has just come so far is not called stopped", () => {
  const events = [...address(0, "uefi"), fetched(1, "tftp", "snponly.efi", 173_792)];
  const [boot] = explain({ events, now: at(20) }).boots;
  expect(boot?.verdict).toMatchObject({
    rule: "loader-not-started",
    tone: "busy",
    advice: [],
    silentMs: 19_000,
  });
});

describe("one boot ends and the next begins", () => {
  const boots = (...events: Parameters<typeof explain>[0]["events"] & object) =>
    explain({ events }).boots.map(boot => boot.lines.length);

  test("where the firmware asks again after a program of ours ran", () => {
    expect(boots(...ramdiskBoot(), ...address(60, "uefi"))).toHaveLength(2);
  });

  test("not where it repeats a question that brought it nothing", () => {
    expect(boots(discover(0, "uefi"), discover(4, "uefi"), discover(12, "uefi"))).toHaveLength(1);
  });

  test("not where UEFI goes on from PXE to HTTP", () => {
    expect(boots(...address(0, "uefi"), ...address(40, "uefi-http"))).toHaveLength(1);
  });

  test("where a question comes minutes after the last", () => {
    expect(boots(...address(0, "uefi"), ...address(300, "uefi"))).toHaveLength(2);
  });

  test("where an installed system starts from its disk, and not where it renews its lease", () => {
    const installed = [...ramdiskBoot(), event(15, "machine.registered", "registered")];
    expect(boots(...installed, request(30_000, "system", { state: "renewing" }))).toHaveLength(1);
    expect(boots(...installed, ...address(90, "system"))).toHaveLength(2);
    expect(boots(...installed, request(90, "system", { state: "init-reboot" }))).toHaveLength(2);
  });

  test("and only the newest are shown, the others counted", () => {
    const events = [0, 1000, 2000, 3000].flatMap(seconds => address(seconds, "uefi"));
    expect(explain({ events, maxBoots: 2 })).toMatchObject({ boots: { length: 2 }, olderBoots: 2 });
  });
});

test("what people did with the machine is no part of its boots", () => {
  const events = [event(0, "install.cancelled", "admin cancelled the install", { by: "admin" })];
  expect(explain({ events })).toMatchObject({ boots: [], silence: { tone: "bad" } });
});

test("the same line over and over is one line that counts", () => {
  const events = Array.from({ length: 5 }, (_, index) => discover(index * 8, "uefi"));
  const [line] = explain({ events }).boots[0]?.lines ?? [];
  expect(line).toMatchObject({ title: "DISCOVER → OFFER", times: 5, untilAt: at(32) });
});

test("a trouble of the site is told in the boots of its interface alone", () => {
  const lost = (name: string) => siteEvent(1, "dhcp.interface-lost", `${name} is gone`, { interface: name });
  const [boot] = explain({ events: [discover(0, "uefi")], siteEvents: [lost("lan0"), lost("wan0")] }).boots;
  expect(boot?.lines.map(line => line.text)).toContain("lan0 is gone");
  expect(boot?.lines.map(line => line.text)).not.toContain("wan0 is gone");
});

describe("where nothing was heard", () => {
  test("names what is off, who nearly has the address, and where to look", async () => {
    const now = BEGIN;
    const explanation = explain({
      now,
      listening: [
        { site: "shop-1", state: "on", detail: "dhcp on 10.0.0.1:67/udp" },
        { site: "shop-2", state: "off", detail: "no subnet to give addresses from" },
      ],
      unknownMachines: [
        { mac: "52:54:00:00:00:70", lastAt: now - 5000 },
        { mac: "52:54:00:00:00:08", lastAt: now - 60_000 },
        { mac: "aa:bb:cc:00:00:01", lastAt: now - 90_000 },
      ],
      siteEvents: [
        siteEvent(-60, "dhcp.interface-lost", "lan1 is not served: it is gone", { interface: "lan1" }),
      ],
    });
    await expect(show(explanation, now)).toMatchFileSnapshot("__snapshots__/nothing-was-heard.txt");
  });

  test("says that nobody listens where DHCP is off everywhere", () => {
    const off = { site: "local", state: "off", detail: "port 67 is taken" } as const;
    expect(explain({ listening: [off] }).silence).toMatchObject({
      meaning: "nobody listens: DHCP is off here",
      advice: ["DHCP of site local is off: port 67 is taken"],
    });
  });
});

describe("nearMacs()", () => {
  test.each([
    ["another port of the same card", "52:54:00:00:00:08"],
    ["one wrong digit", "52:54:00:f0:00:07"],
    ["two digits that changed places", "25:54:00:00:00:07"],
  ])("takes %s for near", (_name, seen) => {
    expect(nearMacs(MAC, [seen])).toEqual([seen]);
  });

  test.each([
    ["the same", MAC],
    ["another of the same maker", "52:54:00:12:34:56"],
  ])("does not take %s for near", (_name, seen) => {
    expect(nearMacs(MAC, [seen])).toEqual([]);
  });
});
