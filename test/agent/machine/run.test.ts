import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createMachineKey } from "../../../src/agent/machine/io/machine-key.ts";
import { keepReporting } from "../../../src/agent/machine/io/run.ts";
import { stageData } from "../../../src/agent/machine/io/stage-data.ts";
import { encodeKeyListFile } from "../../../src/images/io/key-list-file.ts";
import { TemporaryFolder } from "../../images/disk/system-tools.ts";
import { firstKeyList } from "../../images/key-lists.ts";
import { DiskFile } from "./helpers/machine-disk.ts";
import { createTestImage, type TestImage } from "./helpers/test-image.ts";
import { TestSite } from "./helpers/test-site.ts";

const BOOT_1 = "11111111-1111-4111-8111-111111111111";
const BOOT_2 = "22222222-2222-4222-8222-222222222222";

describe("drp machine run", () => {
  let site: TestSite;
  let image: TestImage;
  let folder: TemporaryFolder;
  let disk: DiskFile;
  let said: string[];

  beforeEach(async () => {
    site = await TestSite.start();
    folder = new TemporaryFolder();
    said = [];
    image = await createTestImage({
      healthChecks: [
        { name: "fine", exec: ["true"], timeoutSeconds: 5 },
        { name: "broken", exec: ["sh", "-c", "echo no route; exit 1"], timeoutSeconds: 5 },
      ],
    });
    const config = {
      siteUrl: site.siteUrl,
      bootUrl: site.bootUrl,
      machineId: "m-1",
      machineName: "till-1",
      installGeneration: 3,
      caPem: site.caPem,
    };
    const keyLists = encodeKeyListFile(0, firstKeyList(image.trustedKey));
    await stageData(folder.path, { config, key: await createMachineKey(), signed: image.signed, keyLists });
    disk = new DiskFile(folder.path, image);
  });

  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  /** Runs the agent until the site has heard `count` heartbeats more. */
  async function runUntilHeard(count: number, bootId = BOOT_1): Promise<void> {
    const stop = new AbortController();
    const goal = site.heartbeats.length + count;
    const running = keepReporting({
      arguments: { slot: "a", image: image.digest },
      bootId,
      agentVersion: "0.1.0",
      dataFolder: folder.path,
      findDisk: async () => disk.machineDisk,
      readUptimeSeconds: async () => 30,
      reboot: async () => stop.abort(),
      say: line => said.push(line),
      signal: stop.signal,
    });
    await expect.poll(() => site.heartbeats.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(goal);
    stop.abort();
    await running;
  }

  const orders = () => site.heartbeats.map(({ bootCount, seq }) => `${bootCount}.${seq}`);
  const file = (...path: string[]) => join(folder.path, "drp", ...path);

  test("reports slot, image, boot id and the result of each health check at once", async () => {
    await runUntilHeard(1);
    expect(site.heartbeats[0]).toMatchObject({
      installGeneration: 3,
      bootCount: 1,
      seq: 1,
      bootId: BOOT_1,
      slot: "a",
      image: image.digest,
      agentVersion: "0.1.0",
      health: [
        { name: "fine", status: "pass", detail: "" },
        { name: "broken", status: "fail", detail: "ended with 1: no route" },
      ],
    });
    expect(
      said.some(line => line.includes("1 of 2 health checks pass; broken: ended with 1: no route")),
    ).toBe(true);
  });

  test("comes with the key that the install registered", async () => {
    await runUntilHeard(1);
    const first = site.keyFingerprint;
    await runUntilHeard(1, BOOT_2);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(site.keyFingerprint).toBe(first);
  });

  test("reports again after the interval that the site gave", async () => {
    site.answerHeartbeat = ({ bootCount, seq }) => ({
      acknowledged: { bootCount, seq },
      intervalSeconds: 1,
      target: null,
    });
    await runUntilHeard(3);
    expect(orders().slice(0, 3)).toEqual(["1.1", "1.2", "1.3"]);
  });

  test("counts boots, not starts of the agent", async () => {
    site.answerHeartbeat = () => ({
      acknowledged: { bootCount: 0, seq: 0 },
      intervalSeconds: 60,
      target: null,
    });
    await runUntilHeard(1);
    await runUntilHeard(1);
    await runUntilHeard(1, BOOT_2);
    expect(orders()).toEqual(["1.1", "1.1", "2.1"]);
    expect(JSON.parse(readFileSync(file("boot-count"), "utf8"))).toEqual({ bootCount: 2, bootId: BOOT_2 });
  });

  test("goes on behind what the site acknowledges, and keeps a boot count that it had lost", async () => {
    writeFileSync(file("boot-count"), "{");
    site.answerHeartbeat = () => ({
      acknowledged: { bootCount: 9, seq: 40 },
      intervalSeconds: 1,
      target: null,
    });
    await runUntilHeard(2);
    expect(orders().slice(0, 2)).toEqual(["1.1", "10.1"]);
    expect(JSON.parse(readFileSync(file("boot-count"), "utf8")).bootCount).toBe(10);
    expect(said[0]).toContain("boot-count is damaged, counting anew");
  });

  test("tries again when the site is away, refuses, or answers nonsense, with a higher seq each time", async () => {
    site.failures.push(null, { status: 403, code: "machine.unknown", detail: "who are you?" });
    await runUntilHeard(1);
    expect(orders()).toEqual(["1.3"]);
    expect(said[0]).toMatch(/heartbeat failed, trying again in .*does not answer/);
    expect(said[1]).toMatch(/heartbeat failed, trying again in .*: who are you\?/);
    expect(said[2]).toContain("heard: 1 of 2 health checks pass");
  });

  test("reports a manifest that is not the running image's as a failed check", async () => {
    writeFileSync(file("slots", "a", "manifest.json"), "{}");
    await runUntilHeard(1);
    expect(site.heartbeats[0]?.health).toEqual([
      { name: "manifest", status: "fail", detail: expect.stringContaining("it describes sha256:") },
    ]);
  });

  test("reports when boot-count cannot be kept", async () => {
    mkdirSync(file("boot-count.new"));
    await runUntilHeard(1);
    expect(orders()).toEqual(["1.1"]);
    expect(said[0]).toContain("boot-count cannot be written");
  });

  test.each(["machine.json", "machine.key"])("ends with advice when %s is not there", async name => {
    rmSync(file(name));
    await expect(runUntilHeard(0)).rejects.toMatchObject({
      code: "input.unreadable",
      advice: expect.stringContaining("Install the machine again"),
    });
  });
});
