/** The agent of an installed machine: checks its health, tells the site, sleeps; and does so whatever fails. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DrpError, describeErrorChain } from "../../../core/errors.ts";
import { formatDuration } from "../../../core/time.ts";
import { imageDigest } from "../../../images/digest.ts";
import { manifestSchema } from "../../../images/manifest.ts";
import {
  type HealthResult,
  type Heartbeat,
  heartbeatAnswerSchema,
  MACHINE_PROTOCOL_VERSION,
} from "../../protocol.ts";
import { bootCountSchema, type MachineConfig, machineConfigSchema } from "../agent-files.ts";
import { retryDelayMs } from "../backoff.ts";
import { type BootCount, catchUp, countBoot, type HeartbeatOrder, nextHeartbeat } from "../heartbeat.ts";
import type { RunArguments } from "../kernel-arguments.ts";
import { explainError, type Say } from "./console.ts";
import { readJsonFile, replaceJsonFile } from "./json-file.ts";
import { runHealthCheck } from "./run-health-check.ts";
import { SiteClient } from "./site-client.ts";

export interface RunContext {
  readonly arguments: RunArguments;
  readonly bootId: string;
  readonly agentVersion: string;
  /** The mounted drp-data partition. */
  readonly dataFolder: string;
  readonly say: Say;
  /** Ends the agent; only tests do. */
  readonly signal?: AbortSignal;
}

const REINSTALL = "Install the machine again; its data partition is not what an install leaves.";

/**
 * Sends heartbeats until `signal` says stop.
 *
 * @throws {DrpError} input.unreadable when the machine has no identity; nothing after that
 */
export async function keepReporting(context: RunContext): Promise<void> {
  const { bootId, say } = context;
  const home = join(context.dataFolder, "drp");
  const config = await readJsonFile(join(home, "machine.json"), machineConfigSchema, REINSTALL);
  const client = await openClient(home, config);
  const checkHealth = await prepareHealthChecks(home, context.arguments);
  const bootCountPath = join(home, "boot-count");
  const boot = countBoot(await readBootCount(bootCountPath, say), bootId);
  await keepBootCount(bootCountPath, boot, say);

  let order: HeartbeatOrder = { bootCount: boot.bootCount, seq: 0 };
  let failures = 0;
  while (context.signal?.aborted !== true) {
    order = nextHeartbeat(order);
    const health = await checkHealth();
    try {
      const heartbeat = await makeHeartbeat(context, config, order, health);
      const answer = await client.post("/heartbeat", heartbeat, heartbeatAnswerSchema);
      if (failures > 0 || order.seq === 1) say(`${config.siteUrl} heard: ${describeHealth(health)}`);
      failures = 0;
      const caughtUp = catchUp(order, answer.acknowledged);
      if (caughtUp.bootCount !== order.bootCount) {
        await keepBootCount(bootCountPath, { bootCount: caughtUp.bootCount, bootId }, say);
      }
      order = caughtUp;
      await pause(answer.intervalSeconds * 1000, context.signal);
    } catch (error) {
      failures++;
      const delayMs = retryDelayMs(failures, Math.random());
      say(`heartbeat failed, trying again in ${formatDuration(delayMs)}: ${explainError(error)}`);
      await pause(delayMs, context.signal);
    }
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

/** The checks of the slot's own manifest; a manifest that is not the booted image's is a failed check itself. */
async function prepareHealthChecks(
  home: string,
  { slot, image }: RunArguments,
): Promise<() => Promise<HealthResult[]>> {
  const path = join(home, "slots", slot, "manifest.json");
  try {
    const text = await readFile(path, "utf8");
    if (imageDigest(text) !== image)
      throw new Error(`it describes ${imageDigest(text)}, and ${image} is running`);
    const { healthChecks } = manifestSchema.parse(JSON.parse(text));
    return () => Promise.all(healthChecks.map(runHealthCheck));
  } catch (error) {
    const detail = `${path}: ${describeErrorChain(error)}`.slice(0, 4096);
    return async () => [{ name: "manifest", status: "fail", detail }];
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
    uptimeSeconds: Number.parseFloat(await readFile("/proc/uptime", "utf8")),
    sentAt: Date.now(),
    health,
  };
}

/** "2 of 3 checks pass; dns: ended with 1" */
function describeHealth(health: readonly HealthResult[]): string {
  const failed = health.filter(({ status }) => status !== "pass");
  const count = `${health.length - failed.length} of ${health.length} health checks pass`;
  return [count, ...failed.map(({ name, detail }) => `${name}: ${detail}`)].join("; ");
}

async function pause(durationMs: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(durationMs, undefined, { signal }).catch(() => undefined);
}
