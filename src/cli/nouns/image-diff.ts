/** `drp images diff A B` */
import type { Command } from "commander";
import { imageDiffSchema } from "../../api/wire.ts";
import type { Cli } from "../cli.ts";
import { renderDiff } from "../format/diff-view.ts";

/** The hub's own limit, and some time to wait for its turn. */
const TIMEOUT_MS = 1_200_000;

export function addImageDiff(cli: Cli, images: Command): void {
  const diff = images
    .command("diff")
    .argument("<before>", "digest, NAME:VERSION, version or tag")
    .argument("<after>", "the image to compare it with")
    .option("--all", "every package and file, not only the largest")
    .description("what differs between two images: files, packages, kernel arguments, checks");
  cli.on<{ all?: true }>(diff, async ({ context, args, options }) => {
    const [before = "", after = ""] = args.map(encodeURIComponent);
    const bar = context.startProgress();
    bar.update({ label: "comparing", doneBytes: 0, totalBytes: 0 });
    try {
      const path = `/images/${before}/diff/${after}`;
      const answer = await context.api().get(path, imageDiffSchema, {}, { timeoutMs: TIMEOUT_MS });
      bar.stop();
      const { device, paint } = context.out;
      if (device.format !== "table") return context.out.record(answer, []);
      device.write(renderDiff(answer, options.all === true, device.widthColumns, paint));
    } finally {
      bar.stop();
    }
  });
}
