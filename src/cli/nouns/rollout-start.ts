/** `drp rollout plan | start`: what is asked for, and a refusal that changes nothing and ends with 2. */
import { type Command, Option } from "commander";
import { type Rollout, type RolloutRequest, rolloutPlanSchema, rolloutSchema } from "../../api/wire.ts";
import { DrpError, describeErrorChain } from "../../core/errors.ts";
import type { Cli, CliContext } from "../cli.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { exitCodeOfEnd, followRollout } from "../follow-rollout.ts";
import { renderPlan } from "../format/plan-view.ts";
import { machineCount, plural } from "../format/rollout-words.ts";
import { readImageNames } from "../image-names.ts";
import { durationOption } from "../options.ts";
import { showOnStderr, showOnStdout } from "../rollout-reporter.ts";

interface RequestOptions {
  readonly image: string;
  readonly wave: string;
  readonly selector: string;
  readonly strategy: "ab" | "reimage";
  readonly machine?: string;
  readonly soak: number;
  readonly timeoutPerMachine: number;
  readonly seed?: string;
  readonly plan?: string;
}

export function addRolloutStart(cli: Cli, rollout: Command): void {
  const plan = withRequest(
    rollout.command("plan").description("what a rollout would do, machine by machine; changes nothing"),
  );
  cli.on<RequestOptions>(plan, async ({ context, options }) => {
    const request = requestOf(options);
    const made = await orRefusal(context.api().post("/rollouts/plan", request, rolloutPlanSchema));
    const { device, paint } = context.out;
    if (device.format !== "table") return context.out.record(made, []);
    device.write(renderPlan(made, request, await readImageNames(context), device.widthColumns, paint));
  });

  const start = withRequest(rollout.command("start").description("bring an image to the fleet, wave by wave"))
    .option("--wait", "stay until it is done or rolled back")
    .addOption(durationOption("--timeout <duration>", "how long --wait stays", "1h"));
  cli.on<RequestOptions & { wait?: true; timeout: number }>(start, async ({ context, options }) => {
    const started = await orRefusal(context.api().post("/rollouts", requestOf(options), rolloutSchema));
    if (options.wait === undefined) {
      const { id, plan } = started;
      const scope = `${plural(machineCount(plan), "machine")} in ${plural(plan.waves.length, "wave")}`;
      context.out.done(started, `${id}: ${plan.imageName} goes out to ${scope}`);
      context.out.remark(`follow it with: drp rollout watch ${id}`);
      return undefined;
    }
    return waitForEnd(context, started, options.timeout);
  });
}

async function waitForEnd(
  context: CliContext,
  started: Rollout,
  timeoutMs: number,
): Promise<ExitCode | undefined> {
  const forPeople = context.out.device.format === "table";
  const show = forPeople ? showOnStdout(context, await readImageNames(context)) : showOnStderr(context);
  const ended = await followRollout(context, started, show, timeoutMs);
  if (!forPeople) context.out.record(ended ?? started, []);
  return ended === undefined ? EXIT.failed : exitCodeOfEnd(ended);
}

function withRequest(command: Command): Command {
  return command
    .requiredOption("--image <image>", "digest, NAME:VERSION or version")
    .requiredOption("--wave <list>", "cumulative sites: 1,5%,100%; a lone 5%: one site, then 5 % at a time")
    .option("--selector <labels>", "only these sites: region=eu,tier!=lab or site=NAME", "")
    .addOption(
      new Option("--strategy <strategy>", "other slot and trial boot, or the whole disk again")
        .choices(["ab", "reimage"])
        .default("ab"),
    )
    .option("--machine <machine>", "only this one, by name or id")
    .addOption(durationOption("--soak <duration>", "of health after each wave", "60s"))
    .addOption(durationOption("--timeout-per-machine <duration>", "until it must be confirmed", "15m"))
    .option("--seed <text>", "draws the order of the sites (default: from the image)")
    .option("--plan <hash>", "run exactly the plan with this hash, or refuse");
}

function requestOf(options: RequestOptions): RolloutRequest {
  const { image, wave, selector, strategy, machine, soak, timeoutPerMachine, seed, plan } = options;
  return {
    image,
    waves: wave,
    selector,
    strategy,
    soakSeconds: soak / 1000,
    machineTimeoutSeconds: timeoutPerMachine / 1000,
    ...(machine === undefined ? {} : { machine }),
    ...(seed === undefined ? {} : { seed }),
    ...(plan === undefined ? {} : { planHash: plan }),
  };
}

/** What makes a plan impossible, whatever noun the hub's word for it begins with. */
const REFUSALS = new Set([
  "disk.too-small",
  "image.unknown",
  "image.wrong-architecture",
  "machine.unknown",
  "rollout.conflict",
  "site.not-joined",
]);

async function orRefusal<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof DrpError) || !REFUSALS.has(error.code)) throw error;
    const { advice } = error;
    throw new DrpError("rollout.refused", describeErrorChain(error), advice === undefined ? {} : { advice });
  }
}
