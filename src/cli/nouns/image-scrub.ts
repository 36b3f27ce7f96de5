/** `drp images scrub`: has the hub check every byte of its images, and says what to do about what it finds. */
import type { Command } from "commander";
import { type ImageScrubState, imageScrubSchema } from "../../api/wire.ts";
import { formatBytes, shortDigest } from "../../core/bytes.ts";
import type { Cli, CliContext } from "../cli.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";

const POLL_MS = 1000;

export function addImageScrub(cli: Cli, images: Command): void {
  const scrub = images
    .command("scrub")
    .option("--no-wait", "begin, and follow it by the events")
    .description("check every chunk that the hub keeps; exit code 1 where an image is damaged");
  cli.on<{ wait: boolean }>(scrub, async ({ context, options }) => {
    const begun = await context.api().post("/images/scrub", undefined, imageScrubSchema);
    if (!options.wait) {
      context.out.done(begun, "the check has begun");
      return EXIT.done;
    }
    return report(context, await waitForEnd(context, begun));
  });
}

async function waitForEnd(context: CliContext, begun: ImageScrubState): Promise<ImageScrubState> {
  const bar = context.startProgress();
  try {
    for (let state = begun; ; state = await context.api().get("/images/scrub", imageScrubSchema)) {
      if (state.state !== "running") return state;
      const { checkedBytes: doneBytes, share } = state;
      bar.update({
        label: "checking",
        doneBytes,
        totalBytes: share === 0 ? 0 : Math.round(doneBytes / share),
      });
      await context.sleep(POLL_MS);
    }
  } finally {
    bar.stop();
  }
}

function report({ out }: CliContext, state: ImageScrubState): ExitCode {
  const { checkedChunks, checkedBytes, rottenChunks, removedOrphans, damagedImages, failure } = state;
  if (failure !== null) {
    out.done(state, `the check failed: ${failure}`);
    return EXIT.failed;
  }
  const lines = [
    `${checkedChunks} chunks checked (${formatBytes(checkedBytes)}), ${rottenChunks} rotten; ` +
      `${removedOrphans} left over from broken uploads removed`,
    ...damagedImages.map(({ digest, name, missingChunks }) => {
      const what = missingChunks === null ? "its manifest cannot be read" : `${missingChunks} chunks lost`;
      return `${name ?? shortDigest(digest)}: ${what}`;
    }),
    ...(damagedImages.length === 0
      ? []
      : ["→ Push the same bundle of each again: that mends it. Check the hub's disk (smartctl -a, dmesg)."]),
  ];
  out.done(state, lines.join("\n"));
  return damagedImages.length === 0 ? EXIT.done : EXIT.failed;
}
