/** `drp rollout …`: an image on its way through the fleet. */
import type { Command } from "commander";
import { type Rollout, rolloutSchema } from "../../api/wire.ts";
import type { EpochMs } from "../../core/time.ts";
import type { Cli, CliContext } from "../cli.ts";
import { EXIT } from "../exit-code.ts";
import { findRollout, rolloutPath } from "../find-rollout.ts";
import { exitCodeOfEnd, followRollout } from "../follow-rollout.ts";
import { renderRollout } from "../format/rollout-view.ts";
import { machineRows, rolloutStateText, rolloutTone, tallyOf } from "../format/rollout-words.ts";
import type { Column } from "../format/table.ts";
import { formatAge } from "../format/words.ts";
import { readImageNames } from "../image-names.ts";
import { parseDuration } from "../options.ts";
import { showOnStdout } from "../rollout-reporter.ts";
import { addRolloutStart } from "./rollout-start.ts";

export function addRollout(cli: Cli): void {
  const rollout = cli.root.command("rollout").description("images on their way through the fleet");
  addRolloutStart(cli, rollout);

  cli.on(rollout.command("list").description("every rollout, newest first"), async ({ context }) => {
    const items = await context.api().list("/rollouts", rolloutSchema);
    context.out.list(items, columns(context.now()), NO_ROLLOUTS);
  });

  const status = withId(rollout.command("status").description("where it stands, wave by wave, and why"));
  cli.on(status, async ({ context, args: [id] }) => {
    const [found, nameOf] = await Promise.all([findRollout(context, id), readImageNames(context)]);
    const { device, paint } = context.out;
    if (device.format !== "table") return context.out.record(found, []);
    const view = { now: context.now(), nameOf, widthColumns: device.widthColumns, paint };
    device.write(renderRollout(found, view));
  });

  const watch = withId(
    rollout.command("watch").description("live until it ends: 0 done, 1 rolled back"),
  ).option("--timeout <duration>", "how long to stay (default: until it ends)", parseDuration, Infinity);
  cli.on<{ timeout: number }>(watch, async ({ context, args: [id], options }) => {
    const [first, nameOf] = await Promise.all([findRollout(context, id), readImageNames(context)]);
    const ended = await followRollout(context, first, showOnStdout(context, nameOf), options.timeout);
    return ended === undefined ? EXIT.failed : exitCodeOfEnd(ended);
  });

  addOrder(cli, rollout, "pause", "stop at once: no more fetching, writing or reboots");
  addOrder(cli, rollout, "resume", "go on after a pause");
  addOrder(cli, rollout, "rollback", "bring every machine back to what it ran before");
}

function withId(command: Command): Command {
  return command.argument("[rollout]", "id (default: the open one, else the newest)");
}

function addOrder(cli: Cli, rollout: Command, verb: "pause" | "resume" | "rollback", summary: string): void {
  cli.on(withId(rollout.command(verb).description(summary)), async ({ context, args: [id] }) => {
    const { id: found } = await findRollout(context, id);
    const changed = await order(context, found, verb);
    context.out.done(
      changed,
      `${changed.id} ${changed.plan.imageName}: ${rolloutStateText(changed.state, context.now())}`,
    );
  });
}

function order(context: CliContext, id: string, verb: string): Promise<Rollout> {
  return context.api().post(`${rolloutPath(id)}/${verb}`, undefined, rolloutSchema);
}

const NO_ROLLOUTS =
  "No rollouts yet. See what one would do with: drp rollout plan --image VERSION --wave 1,100%";

function columns(now: EpochMs): Column<Rollout>[] {
  return [
    { title: "ID", cell: rollout => rollout.id },
    { title: "IMAGE", cell: rollout => rollout.plan.imageName },
    {
      title: "STATE",
      cell: rollout => rolloutStateText(rollout.state, now),
      tone: rollout => rolloutTone(rollout.state),
      shrinkTo: 24,
    },
    { title: "DONE", cell: doneText, align: "right" },
    { title: "STRATEGY", cell: rollout => rollout.plan.strategy, dropFirst: 3 },
    { title: "STARTED", cell: rollout => formatAge(rollout.createdAt, now), dropFirst: 1 },
    { title: "BY", cell: rollout => rollout.startedBy, dropFirst: 2 },
  ];
}

function doneText(rollout: Rollout): string {
  const { done, total } = tallyOf(machineRows(rollout));
  return `${done}/${total}`;
}
