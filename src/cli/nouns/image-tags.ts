/** `drp images tag | untag | tags`: names that move from version to version. */
import type { Command } from "commander";
import { type ImageTag, type ImageTagMove, imageTagMoveSchema, imageTagSchema } from "../../api/wire.ts";
import { shortDigest } from "../../core/bytes.ts";
import { type Cli, type CliContext, firstArgument } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { formatAge } from "../format/words.ts";

const NO_TAGS = "No tags yet. Give the first one: drp images tag IMAGE stable";

export function addImageTags(cli: Cli, images: Command): void {
  const tag = images
    .command("tag")
    .argument("<image>", "digest, NAME:VERSION, version or tag")
    .argument("<tag>", "such as stable or canary")
    .option("--reason <text>", "why, for its history")
    .description("give an image a tag, or move the tag there");
  cli.on<{ reason?: string }>(tag, async ({ context, args, options }) => {
    const [image = "", name = ""] = args;
    const body = { image, tag: name, ...options };
    const set = await context.api().post("/image-tags", body, imageTagSchema);
    context.out.done(
      set,
      `${set.name}:${set.tag} is ${set.name}:${set.version} (${shortDigest(set.digest)})`,
    );
  });

  const untag = images
    .command("untag")
    .argument("<tag>", "NAME:TAG, or TAG where one image has it")
    .description("take a tag away; its history stays");
  cli.on(untag, async call => {
    const api = call.context.api();
    const current = await api.get(tagPath(firstArgument(call)), imageTagSchema);
    await api.delete(tagPath(`${current.name}:${current.tag}`), current.revision);
    call.context.out.done(
      current,
      `${current.name}:${current.tag} names nothing any more; it was ${current.version}`,
    );
  });

  const tags = images
    .command("tags")
    .argument("[tag]", "NAME:TAG or TAG: its history")
    .description("every tag and where it stands, or where one stood");
  cli.on(tags, async ({ context, args: [reference] }) => {
    if (reference === undefined) await listTags(context);
    else await listMoves(context, reference);
  });
}

const tagPath = (reference: string) => `/image-tags/${encodeURIComponent(reference)}`;

async function listTags(context: CliContext): Promise<void> {
  const now = context.now();
  const columns: Column<ImageTag>[] = [
    { title: "TAG", cell: ({ name, tag }) => `${name}:${tag}` },
    { title: "VERSION", cell: ({ version }) => version },
    { title: "DIGEST", cell: ({ digest }) => shortDigest(digest), dropFirst: 3 },
    { title: "MOVED", cell: ({ movedAt }) => formatAge(movedAt, now), dropFirst: 1 },
    { title: "BY", cell: ({ movedBy }) => movedBy, dropFirst: 2 },
    { title: "WHY", cell: ({ reason }) => reason ?? "", dropFirst: 4, shrinkTo: 16 },
  ];
  context.out.list(await context.api().list("/image-tags", imageTagSchema), columns, NO_TAGS);
}

async function listMoves(context: CliContext, reference: string): Promise<void> {
  const now = context.now();
  const columns: Column<ImageTagMove>[] = [
    { title: "MOVED", cell: ({ movedAt }) => formatAge(movedAt, now) },
    { title: "FROM", cell: ({ fromVersion }) => fromVersion ?? "" },
    { title: "TO", cell: ({ version }) => version ?? "taken away" },
    { title: "DIGEST", cell: ({ digest }) => (digest === null ? "" : shortDigest(digest)), dropFirst: 2 },
    { title: "BY", cell: ({ movedBy }) => movedBy, dropFirst: 1 },
    { title: "WHY", cell: ({ reason }) => reason ?? "", dropFirst: 3, shrinkTo: 16 },
  ];
  const moves = await context.api().list(`${tagPath(reference)}/history`, imageTagMoveSchema);
  context.out.list(moves, columns, "This tag never stood anywhere.");
}
