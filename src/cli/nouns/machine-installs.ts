/** `drp machines install | cancel-install | wait` */
import type { Command } from "commander";
import { type Machine, machineSchema } from "../../api/wire.ts";
import { type Cli, type CliContext, firstArgument } from "../cli.ts";
import type { InstallGoal } from "../format/wait-verdict.ts";
import { machinePath } from "../machine-reference.ts";
import { durationOption } from "../options.ts";
import { waitForMachine } from "../wait-for-machine.ts";

const MINUTE_MS = 60_000;

interface InstallOptions {
  readonly image: string;
  readonly disk?: string;
  readonly wipe?: true;
  readonly expires: number;
  readonly wait?: true;
  readonly timeout: number;
}

export function addMachineInstalls(cli: Cli, machines: Command): void {
  const install = machines
    .command("install")
    .argument("<machine>", "name, id or MAC")
    .description("order an install: the machine takes it at its next network boot")
    .requiredOption("--image <image>", "digest, NAME:VERSION or version")
    .option("--disk <path>", "which disk, such as /dev/vda (default: the smallest that fits)")
    .option("--wipe", "overwrite a disk that already holds something")
    .addOption(durationOption("--expires <duration>", "how long the order may be taken", "1h"))
    .option("--wait", "stay until the machine is healthy")
    .addOption(durationOption("--timeout <duration>", "how long --wait stays", "10m"));
  cli.on<InstallOptions>(install, async call => {
    const { context, options } = call;
    const machine = await orderInstall(context, firstArgument(call), options);
    if (options.wait === undefined) {
      context.out.done(
        machine,
        `install of ${options.image} ordered for ${machine.name}; it starts at the machine's next network boot`,
      );
      return;
    }
    const goal = { state: "healthy", install: openInstall(machine) };
    announceReached(context, await waitForMachine(context, machine.id, goal, options.timeout));
  });

  const cancel = machines
    .command("cancel-install")
    .argument("<machine>", "name, id or MAC")
    .description("take an install order back");
  cli.on(cancel, async call => {
    const path = `${machinePath(firstArgument(call))}/cancel-install`;
    const machine = await call.context.api().post(path, undefined, machineSchema);
    call.context.out.done(machine, `install of ${machine.name} taken back`);
  });

  const wait = machines
    .command("wait")
    .argument("<machine>", "name, id or MAC")
    .description("stay until a machine has reached a state")
    .option("--for <state>", "such as healthy, discovered or installing", "healthy")
    .addOption(durationOption("--timeout <duration>", "how long to stay", "10m"));
  cli.on<{ for: string; timeout: number }>(wait, async call => {
    const { context, options } = call;
    const goal = { state: options.for };
    announceReached(context, await waitForMachine(context, firstArgument(call), goal, options.timeout));
  });
}

async function orderInstall(context: CliContext, name: string, options: InstallOptions): Promise<Machine> {
  const order = {
    image: options.image,
    diskPath: options.disk ?? null,
    wipe: options.wipe ?? false,
    expiresInMinutes: Math.max(1, Math.round(options.expires / MINUTE_MS)),
  };
  return context.api().post(`${machinePath(name)}/install`, order, machineSchema);
}

function openInstall({ state, installGeneration }: Machine): InstallGoal | undefined {
  return state.kind === "assigned" ? { image: state.intent.image, installGeneration } : undefined;
}

function announceReached(context: CliContext, machine: Machine): void {
  const image = machine.running?.imageName;
  context.out.done(machine, `${machine.name} is ${machine.state.kind}${image ? ` on ${image}` : ""}`);
}
