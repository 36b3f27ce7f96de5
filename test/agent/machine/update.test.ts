/** Updates of a whole machine: real TLS, real chunks, a real disk in a file; only GRUB's choice is made in its place. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createMachineKey } from "../../../src/agent/machine/io/machine-key.ts";
import { keepReporting } from "../../../src/agent/machine/io/run.ts";
import { stageData } from "../../../src/agent/machine/io/stage-data.ts";
import type { Heartbeat, MachineTarget } from "../../../src/agent/protocol.ts";
import { writeSlotConfig } from "../../../src/images/io/boot-volume.ts";
import { encodeChunk } from "../../../src/images/io/chunk-codec.ts";
import { encodeKeyListFile } from "../../../src/images/io/key-list-file.ts";
import { CHUNK_BYTES } from "../../../src/images/manifest.ts";
import { TemporaryFolder } from "../../images/disk/system-tools.ts";
import { firstKeyList } from "../../images/key-lists.ts";
import { DiskFile } from "./helpers/machine-disk.ts";
import { createTestImage, type TestImage } from "./helpers/test-image.ts";
import { TestSite } from "./helpers/test-site.ts";

/** Longer than any test needs on a busy machine. */
const PATIENCE_MS = 20_000;

describe("an update", () => {
  let site: TestSite;
  let folder: TemporaryFolder;
  let disk: DiskFile;
  let v1: TestImage;
  let v2: TestImage;
  let target: MachineTarget | null;
  let said: string[];
  let boots: number;
  let uptimeSeconds: number;

  beforeEach(async () => {
    site = await TestSite.start();
    folder = new TemporaryFolder();
    said = [];
    boots = 0;
    uptimeSeconds = 20;
    v1 = await createTestImage();
    v2 = await createTestImage({ version: "v2" }, 1);
    disk = new DiskFile(folder.path, v1);
    const config = {
      siteUrl: site.siteUrl,
      bootUrl: site.bootUrl,
      machineId: "m-1",
      machineName: "till-1",
      installGeneration: 1,
      caPem: site.caPem,
    };
    const keyLists = encodeKeyListFile(0, firstKeyList(v1.trustedKey, v2.trustedKey));
    await stageData(folder.path, { config, key: await createMachineKey(), signed: v1.signed, keyLists });
    offer(v2);
    site.answerHeartbeat = ({ bootCount, seq }) => ({
      acknowledged: { bootCount, seq },
      intervalSeconds: 1,
      target,
    });
  });

  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  function offer(image: TestImage, change: Partial<MachineTarget> = {}): void {
    site.signedManifest = image.signed;
    site.frames = image.frames;
    target = { rolloutId: "r-1", attempt: 1, image: image.digest, strategy: "ab", may: "reboot", ...change };
  }

  /**
   * Boots the slot that GRUB takes, and runs the agent until the site has heard `isEnough`, or the machine restarts.
   *
   * @returns how it ended
   */
  async function boot(isEnough: (heartbeat: Heartbeat) => boolean): Promise<"rebooted" | "heard"> {
    boots++;
    return await runAgent(await disk.bootWithGrub(), isEnough);
  }

  async function runAgent(
    system: { slot: "a" | "b"; image: string },
    isEnough: (heartbeat: Heartbeat) => boolean,
  ): Promise<"rebooted" | "heard"> {
    const stop = new AbortController();
    let ending: "rebooted" | "heard" | undefined;
    const answer = site.answerHeartbeat;
    site.answerHeartbeat = heartbeat => {
      if (isEnough(heartbeat)) {
        ending ??= "heard";
        stop.abort();
      }
      return answer(heartbeat);
    };
    const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
    await keepReporting({
      arguments: system,
      bootId: `00000000-0000-4000-8000-00000000000${boots}`,
      agentVersion: "0.1.0",
      dataFolder: folder.path,
      findDisk: async () => disk.machineDisk,
      readUptimeSeconds: async () => uptimeSeconds,
      reboot: async () => {
        ending ??= "rebooted";
      },
      say: line => said.push(line),
      signal: stop.signal,
    });
    clearTimeout(timer);
    site.answerHeartbeat = answer;
    if (ending === undefined) throw new Error(`nothing came of it; the machine said:\n${said.join("\n")}`);
    return ending;
  }

  const never = () => false;
  const inPhase = (phase: string) => (heartbeat: Heartbeat) => heartbeat.update?.phase === phase;
  const last = () => site.heartbeats.at(-1);
  const phases = () =>
    site.heartbeats
      .map(({ update }) => update?.phase ?? "-")
      .filter((phase, index, all) => phase !== all[index - 1]);
  const slotHolds = (slot: "a" | "b", image: TestImage) =>
    disk.readSlot(slot, image.rootfs.length).equals(image.rootfs);

  test("goes through the other slot and a trial boot to a confirmed one", async () => {
    expect(await boot(never)).toBe("rebooted");
    expect(slotHolds("b", v2)).toBe(true);
    expect(await disk.bootState()).toEqual({ confirmed: "a", trial: "b", tries: 1, attempt: 1 });

    expect(await boot(inPhase("confirmed"))).toBe("heard");
    expect(phases()).toEqual(["-", "fetching", "written", "armed", "trial", "confirmed"]);
    expect(last()).toMatchObject({
      slot: "b",
      image: v2.digest,
      slotConfirmed: true,
      bootCount: 2,
      update: { rolloutId: "r-1", attempt: 1, image: v2.digest, reason: "" },
    });
    expect(await disk.bootState()).toEqual({ confirmed: "b", trial: null, tries: 0, attempt: 1 });
    expect(site.heartbeats.filter(({ slotConfirmed }) => !slotConfirmed).map(({ slot }) => slot)).toEqual([
      "b",
    ]);
    expect(slotHolds("a", v1)).toBe(true);
    expect(await disk.bootWithGrub()).toEqual({ slot: "b", image: v2.digest });
  });

  test("fetches only chunks that lie in neither slot, and says where the others were", async () => {
    const half = v2.rootfs.subarray(0, CHUNK_BYTES);
    const { offsetBytes } = disk.machineDisk.slots.b;
    const bytes = readFileSync(disk.path);
    half.copy(bytes, offsetBytes);
    writeFileSync(disk.path, bytes);
    expect(await boot(never)).toBe("rebooted");
    expect(site.askedChunks).toEqual([v2.manifest.payloads[0]?.chunks[3]]);
    expect(slotHolds("b", v2)).toBe(true);
    expect(said).toContain("1.0 MiB fetched, 48.0 KiB read from the running slot, 3.0 MiB there already");
  });

  test("goes back to the image in the other slot without fetching anything", async () => {
    await boot(never);
    await boot(inPhase("confirmed"));
    const fetched = site.askedChunks.length;
    offer(v1, { attempt: 2 });
    expect(await boot(never)).toBe("rebooted");
    expect(await boot(inPhase("confirmed"))).toBe("heard");
    expect(site.askedChunks.length).toBe(fetched);
    expect(last()).toMatchObject({
      slot: "a",
      image: v1.digest,
      slotConfirmed: true,
      update: { attempt: 2 },
    });
  });

  test("is confirmed at once where the image runs already", async () => {
    offer(v1);
    expect(await boot(inPhase("confirmed"))).toBe("heard");
    expect(site.askedChunks).toEqual([]);
    expect(boots).toBe(1);
  });

  test("whose health check fails falls back with the reason, and is left alone then", async () => {
    const bad = await createTestImage(
      {
        version: "v3",
        healthChecks: [{ name: "app", exec: ["sh", "-c", "echo no till; exit 1"], timeoutSeconds: 5 }],
      },
      2,
    );
    const lists = encodeKeyListFile(0, firstKeyList(bad.trustedKey));
    writeFileSync(join(folder.path, "drp/key-lists.json"), lists);
    offer(bad);
    await boot(never);
    expect(await boot(never)).toBe("rebooted");
    expect(last()).toMatchObject({
      slot: "b",
      slotConfirmed: false,
      health: [{ name: "app", status: "fail" }],
      update: { phase: "trial", reason: expect.stringContaining("health check app: ended with 1: no till") },
    });
    expect(await boot(inPhase("fell-back"))).toBe("heard");
    expect(last()).toMatchObject({
      slot: "a",
      image: v1.digest,
      slotConfirmed: true,
      update: { image: bad.digest, reason: expect.stringContaining("no till") },
    });
    expect(await disk.bootState()).toEqual({ confirmed: "a", trial: null, tries: 0, attempt: 1 });
    const count = site.heartbeats.length;
    await boot(() => site.heartbeats.length > count + 2);
    expect(last()?.update?.phase).toBe("fell-back");
    expect(said.filter(line => line.startsWith("fell back"))).toHaveLength(1);
  });

  test("whose trial ends in a power cut falls back", async () => {
    await boot(never);
    expect(await disk.bootWithGrub()).toMatchObject({ slot: "b" });
    expect(await boot(inPhase("fell-back"))).toBe("heard");
    expect(last()?.update?.reason).toBe("the trial boot ended before its agent started");
  });

  test("whose trial is heard by nobody restarts at its own deadline", async () => {
    await boot(never);
    uptimeSeconds = 124.5;
    const { answerHeartbeat } = site;
    site.answerHeartbeat = heartbeat => {
      if (heartbeat.slot === "b") site.failures.push(null);
      return answerHeartbeat(heartbeat);
    };
    for (let count = 0; count < 20; count++) site.failures.push(null);
    expect(await boot(never)).toBe("rebooted");
    site.failures.length = 0;
    uptimeSeconds = 20;
    expect(await boot(inPhase("fell-back"))).toBe("heard");
    expect(last()?.update?.reason).toBe("the site acknowledged no heartbeat within 125 s");
  });

  test("with a tampered chunk fails, and the slot no longer says that it holds the older image", async () => {
    const { esp, slots } = disk.machineDisk;
    const { partitionGuid } = slots.b;
    await writeSlotConfig(esp, "b", { partitionGuid, digest: v1.digest, kernelArguments: [] });
    expect(disk.slotDigest("b")).toBe(v1.digest);
    const [first = ""] = v2.frames.keys();
    v2.frames.set(first, await encodeChunk(Buffer.alloc(CHUNK_BYTES, 1)));
    expect(await boot(inPhase("failed"))).toBe("heard");
    expect(last()?.update?.reason).toContain(`chunk ${first} arrived with the content of`);
    expect(disk.slotDigest("b")).toBe("");
    expect(await disk.bootState()).toMatchObject({ confirmed: "a", trial: null });
  });

  test("signed by a key that is not trusted fails before anything is fetched", async () => {
    offer(await createTestImage({ version: "v9" }, 3));
    expect(await boot(inPhase("failed"))).toBe("heard");
    expect(last()?.update?.reason).toContain("not trusted");
    expect(site.askedChunks).toEqual([]);
  });

  test("stops fetching when paused, goes on where it was, and disarms when paused at the last moment", async () => {
    const frames = new Map(v2.frames);
    const [missing = ""] = frames.keys();
    const frame = frames.get(missing);
    frames.delete(missing);
    v2 = { ...v2, frames };
    offer(v2);
    site.beforeChunk = digest => {
      if (digest === missing && target !== null) target = { ...target, may: "nothing" };
    };
    expect(
      await boot(() => said.includes("the update is paused") || said.some(line => line.includes("404"))),
    ).toBe("heard");
    expect(await disk.bootState()).toMatchObject({ trial: null });
    expect(disk.slotDigest("b")).toBe("");

    site.beforeChunk = () => undefined;
    site.askedChunks.length = 0;
    if (frame !== undefined) frames.set(missing, frame);
    offer(v2);
    let wasArmed = false;
    expect(
      await runAgent({ slot: "a", image: v1.digest }, ({ update }) => {
        wasArmed ||= update?.phase === "armed";
        if (wasArmed) offer(v2, { may: "nothing" });
        return wasArmed && update?.phase === "written";
      }),
    ).toBe("heard");
    expect(new Set(site.askedChunks)).toEqual(new Set([missing]));
    expect(await disk.bootState()).toEqual({ confirmed: "a", trial: null, tries: 0, attempt: 1 });
  });

  test("that another attempt overtakes in its trial ends in the slot that runs", async () => {
    await boot(never);
    offer(v1, { attempt: 2 });
    expect(await boot(never)).toBe("rebooted");
    expect(await boot(inPhase("confirmed"))).toBe("heard");
    expect(last()).toMatchObject({
      slot: "a",
      image: v1.digest,
      slotConfirmed: true,
      update: { attempt: 2 },
    });
    expect(phases()).not.toContain("fell-back");
  });

  test.each(["fetching", "written", "armed", "trial", "confirmed"])(
    "whose agent is killed in phase %s goes on to the same end",
    async phase => {
      let boot_ = await disk.bootWithGrub();
      for (let step = 0, wasKilled = false; step < 6; step++) {
        boots++;
        const ending = await runAgent(boot_, heartbeat =>
          wasKilled ? inPhase("confirmed")(heartbeat) : inPhase(phase)(heartbeat),
        );
        if (ending === "rebooted") boot_ = await disk.bootWithGrub();
        else if (wasKilled) break;
        else {
          wasKilled = true;
          boots--;
        }
      }
      expect(last()).toMatchObject({
        slot: "b",
        image: v2.digest,
        slotConfirmed: true,
        update: { phase: "confirmed", attempt: 1 },
      });
      expect(await disk.bootState()).toMatchObject({ confirmed: "b", trial: null });
      expect(slotHolds("b", v2)).toBe(true);
    },
  );

  test("that does not fit the slot fails with the sizes", async () => {
    disk = new DiskFile(folder.path, v1);
    const small = { ...disk.machineDisk.slots.b, sizeBytes: CHUNK_BYTES };
    const whole = disk.machineDisk;
    Object.assign(disk, { machineDisk: { ...whole, slots: { ...whole.slots, b: small } } });
    expect(await boot(inPhase("failed"))).toBe("heard");
    expect(last()?.update?.reason).toContain("does not fit the slot of 1.0 MiB");
  });

  test("by reimage restarts into the network once", async () => {
    offer(v2, { strategy: "reimage" });
    expect(await boot(never)).toBe("rebooted");
    expect(last()?.update).toMatchObject({ phase: "armed", image: v2.digest });
    expect(await disk.bootState()).toMatchObject({ confirmed: "a", trial: null });
    expect(await boot(inPhase("failed"))).toBe("heard");
    expect(last()?.update?.reason).toContain("the network did not install it");
    expect(existsSync(join(folder.path, "drp/slots/b"))).toBe(false);
  });

  test("is refused by a machine whose disk cannot be read, which reports all the same", async () => {
    Object.assign(disk, {
      machineDisk: { ...disk.machineDisk, esp: { ...disk.machineDisk.esp, path: "/none" } },
    });
    boots++;
    const system = { slot: "a", image: v1.digest } as const;
    expect(await runAgent(system, ({ seq }) => seq === 2)).toBe("heard");
    expect(last()).toMatchObject({ slotConfirmed: false, update: null });
    expect(said[0]).toContain("this boot's place in an update is unknown");
  });
});
