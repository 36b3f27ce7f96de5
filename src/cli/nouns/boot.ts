/** `drp boot explain MAC`: what happened on the wire when a machine booted, or why nothing did. */
import { bootExplanationSchema } from "../../api/wire.ts";
import { type Cli, firstArgument } from "../cli.ts";
import { renderBootExplanation } from "../format/boot-view.ts";
import { parseCount } from "../options.ts";

const DEFAULT_BOOTS = 3;

export function addBoot(cli: Cli): void {
  const boot = cli.root.command("boot").description("what machines did when they booted");
  const explain = boot
    .command("explain")
    .argument("<machine>", "MAC, name or id; also a MAC that nobody has entered")
    .description("what it asked, what it got and why, how far it came, and what to do")
    .option("--boots <count>", "how many of the newest boots", parseCount, DEFAULT_BOOTS);
  cli.on<{ boots: number }>(explain, async call => {
    const { context, options } = call;
    const path = `/boots/${encodeURIComponent(firstArgument(call))}`;
    const explanation = await context.api().get(path, bootExplanationSchema, { limit: options.boots });
    const { device, paint } = context.out;
    if (device.format !== "table") return context.out.record(explanation, []);
    const { widthColumns } = device;
    device.write(renderBootExplanation(explanation, { now: context.now(), widthColumns, paint }));
  });
}
