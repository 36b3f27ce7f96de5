/** The agent of an installed machine: checks its health, tells the site, follows its target, sleeps; and does so whatever fails. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DrpError, describeErrorChain } from "../../../core/errors.ts";
import { formatDuration } from "../../../core/time.ts";
import {
  type HealthResult,
  type Heartbeat,
  heartbeatAnswerSchema,
  MACHINE_PROTOCOL_VERSION,
} from "../../protocol.ts";
import { bootCountSchema, type MachineConfig, machineConfigSchema } from "../agent-files.ts";
import { retryDelayMs } from "../backoff.ts";
import { type BootCount, catchUp, countBoot, type HeartbeatOrder, nextHeartbeat } from "../heartbeat.ts";
import { trialDeadlineSeconds } from "../judge-trial.ts";
import type { RunArguments } from "../kernel-arguments.ts";
import { Bell } from "./bell.ts";
import { explainError, type Say } from "./console.ts";
import { followKeyLists } from "./follow-key-lists.ts";
import { readHealthChecks } from "./health-checks.ts";
import { readJsonFile, replaceJsonFile } from "./json-file.ts";
import type { MachineDisk } from "./machine-disk.ts";
import { SiteClient } from "./site-client.ts";
import { Updater } from "./updater.ts";

export interface RunContext {
  readonly arguments: RunArguments;
  readonly bootId: string;
  readonly agentVersion: string;
  /** The mounted drp-data partition. */
  readonly dataFolder: string;
  /** The disk that this system lies on. */
  readonly findDisk: () => Promise<MachineDisk>;
  /** Since the kernel's start. */
  readonly readUptimeSeconds: () => Promise<number>;
  /** Starts the machine again at once. */
  readonly reboot: () => Promise<void>;
  readonly say: Say;
  /** Ends the agent; only tests do. */
  readonly signal?: AbortSignal;
}

const REINSTALL = "Install the machine again; its data partition is not what an install leaves.";

/** While an update is under way a person sees it move. */
const UPDATE_INTERVAL_MS = 3_000;

/**
 * Sends heartbeats until `signal` says stop, or the machine is told to start again.
 *
 * @throws {DrpError} input.unreadable when the machine has no identity; nothing after that
 */
export async function keepReporting(context: RunContext): Promise<void> {
  const { bootId, say } = context;
  const home = join(context.dataFolder, "drp");
  const config = await readJsonFile(join(home, "machine.json"), machineConfigSchema, REINSTALL);
  const client = await openClient(home, config);
  const { checks, run: checkHealth } = await readHealthChecks(home, context.arguments);
  const bootCountPath = join(home, "boot-count");
  const boot = countBoot(await readBootCount(bootCountPath, say), bootId);
  await keepBootCount(bootCountPath, boot, say);

  const bell = new Bell();
  await using updater = await Updater.open({
    running: { ...context.arguments, bootId },
    config,
    client,
    home,
    say,
    findDisk: context.findDisk,
    reboot: context.reboot,
    onChange: () => bell.ring(),
  });
  using _deadline = await startDeadline(updater, trialDeadlineSeconds(checks), context);
  const intervalMs = (wantedMs: number) =>
    updater.isUnderWay ? Math.min(wantedMs, UPDATE_INTERVAL_MS) : wantedMs;

  let order: HeartbeatOrder = { bootCount: boot.bootCount, seq: 0 };
  let failures = 0;
  while (context.signal?.aborted !== true && !updater.isRebooting) {
    order = nextHeartbeat(order);
    const health = await checkHealth();
    await updater.noteHealth(health);
    let pauseMs: number;
    try {
      const heartbeat = await makeHeartbeat(context, config, order, health, updater);
      const answer = await client.post("/heartbeat", heartbeat, heartbeatAnswerSchema);
      if (failures > 0 || order.seq === 1) say(`${config.siteUrl} heard: ${describeHealth(health)}`);
      failures = 0;
      const caughtUp = catchUp(order, answer.acknowledged);
      if (caughtUp.bootCount !== order.bootCount) {
        await keepBootCount(bootCountPath, { bootCount: caughtUp.bootCount, bootId }, say);
      }
      order = caughtUp;
      await followKeyLists(home, answer.keyListVersion, client, say);
      await updater.heard(answer.target, health);
      pauseMs = intervalMs(answer.intervalSeconds * 1000);
    } catch (error) {
      failures++;
      pauseMs = intervalMs(retryDelayMs(failures, Math.random()));
      say(`heartbeat failed, trying again in ${formatDuration(pauseMs)}: ${explainError(error)}`);
    }
    await updater.endFailedTrial();
    if (!updater.isRebooting) await bell.sleep(pauseMs, context.signal);
  }
  client.close();
}

async function openClient(home: string, config: MachineConfig): Promise<SiteClient> {
  try {
    const privateKeyPem = await readFile(join(home, "machine.key"), "utf8");
    const certificatePem = await readFile(join(home, "machine.crt"), "utf8");
    return new SiteClient(config.siteUrl, config.caPem, { privateKeyPem, certificatePem });
  } catch (cause) {
    throw new DrpError("input.unreadable", `${home}: the machine's key cannot be used`, {
      advice: REINSTALL,
      cause,
    });
  }
}

/** Null when there is none yet; also when it is damaged: the site's next answer tells which count to go on from. */
async function readBootCount(path: string, say: Say): Promise<BootCount | null> {
  try {
    return bootCountSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    const isFirstBoot = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (!isFirstBoot) say(`${path} is damaged, counting anew: ${describeErrorChain(error)}`);
    return null;
  }
}

/** A full disk must not silence the machine: the count is then right in memory at least. */
async function keepBootCount(path: string, boot: BootCount, say: Say): Promise<void> {
  try {
    await replaceJsonFile(path, boot);
  } catch (error) {
    say(`${path} cannot be written: ${describeErrorChain(error)}`);
  }
}

async function makeHeartbeat(
  context: RunContext,
  config: MachineConfig,
  order: HeartbeatOrder,
  health: HealthResult[],
  updater: Updater,
): Promise<Heartbeat> {
  return {
    protocolVersion: MACHINE_PROTOCOL_VERSION,
    agentVersion: context.agentVersion,
    installGeneration: config.installGeneration,
    bootCount: order.bootCount,
    seq: order.seq,
    bootId: context.bootId,
    slot: context.arguments.slot,
    image: context.arguments.image,
    uptimeSeconds: await context.readUptimeSeconds(),
    sentAt: Date.now(),
    health,
    slotConfirmed: updater.slotConfirmed,
    update: updater.report,
  };
}

/** A timer of its own: a health check or a connection that hangs does not outlast it. */
async function startDeadline(
  updater: Updater,
  deadlineSeconds: number,
  context: RunContext,
): Promise<Disposable> {
  const leftSeconds = Math.max(0, deadlineSeconds - (await context.readUptimeSeconds()));
  if (updater.isTrial) {
    context.say(`healthy and heard within ${Math.round(leftSeconds)} s, or the confirmed slot boots again`);
  }
  const timer = setTimeout(() => void updater.endLateTrial(deadlineSeconds), leftSeconds * 1000);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** "2 of 3 checks pass; dns: ended with 1" */
function describeHealth(health: readonly HealthResult[]): string {
  const failed = health.filter(({ status }) => status !== "pass");
  const count = `${health.length - failed.length} of ${health.length} health checks pass`;
  return [count, ...failed.map(({ name, detail }) => `${name}: ${detail}`)].join("; ");
}
