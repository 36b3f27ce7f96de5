/** `drp images prune`: removes what nothing needs, and says of each image why it stays or goes. */
import { type Command, InvalidArgumentError } from "commander";
import { type PrunedImages, prunedImagesSchema } from "../../api/wire.ts";
import { formatBytes } from "../../core/bytes.ts";
import type { EpochMs } from "../../core/time.ts";
import type { Cli } from "../cli.ts";
import { plural } from "../format/rollout-words.ts";
import type { Column } from "../format/table.ts";
import { formatAge } from "../format/words.ts";
import { parseDuration } from "../options.ts";

const DAY_MS = 86_400_000;
const KEPT_NEWEST = 3;

type Verdict = PrunedImages["images"][number];

interface PruneOptions {
  readonly keep: number;
  readonly olderThan: number;
  readonly dryRun?: true;
}

export function addImagePrune(cli: Cli, images: Command): void {
  const prune = images
    .command("prune")
    .option("--keep <count>", "newest releases of each name that stay in any case", parseKept, KEPT_NEWEST)
    .option("--older-than <duration>", "only those pushed longer ago, such as 30d", parseDuration, 0)
    .option("--dry-run", "show what would go and why; remove nothing")
    .description("remove images that no machine, tag, rollout or way back needs");
  cli.on<PruneOptions>(prune, async ({ context, options }) => {
    const { keep, olderThan, dryRun = false } = options;
    const body = { keep, olderThanDays: olderThan / DAY_MS, dryRun };
    const pruned = await context.api().post("/images/prune", body, prunedImagesSchema);
    if (context.out.device.format !== "table") return context.out.record(pruned, []);
    context.out.list(pruned.images, columns(context.now(), dryRun), "There are no images.");
    const count = pruned.images.filter(({ verdict }) => verdict === "remove").length;
    const verb = dryRun ? "would go" : "removed";
    context.out.remark(
      `${plural(count, "image")} ${verb}: ${formatBytes(pruned.freedBytes)} of data that no other has`,
    );
  });
}

function columns(now: EpochMs, dryRun: boolean): Column<Verdict>[] {
  return [
    {
      title: "",
      cell: ({ verdict }) => (verdict === "keep" ? "keep" : dryRun ? "remove" : "removed"),
      tone: ({ verdict }) => (verdict === "keep" ? "quiet" : "bad"),
    },
    { title: "IMAGE", cell: ({ name, version }) => `${name}:${version}` },
    { title: "WHY", cell: ({ reason }) => reason, shrinkTo: 20 },
    { title: "PUSHED", cell: ({ pushedAt }) => formatAge(pushedAt, now), dropFirst: 1 },
  ];
}

function parseKept(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("Write a number from 0 on.");
  return Number(text);
}
