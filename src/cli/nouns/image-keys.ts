/** `drp images keys list` and `drp images floors …`: what the hub says of trust. What signs is in trust-commands.ts. */
import { type Command, InvalidArgumentError } from "commander";
import { type ImageKey, imageKeySchema, type ReleaseFloor, releaseFloorSchema } from "../../api/wire.ts";
import type { EpochMs } from "../../core/time.ts";
import { type Cli, firstArgument } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { formatAge } from "../format/words.ts";

const KEY_ID_CHARACTERS = 16;

export function addImageKeys(cli: Cli, images: Command): void {
  const keys = images.command("keys").description("keys whose signatures are trusted");

  cli.on(keys.command("list").description("every trusted key"), async ({ context }) => {
    const items = await context.api().list("/image-keys", imageKeySchema);
    context.out.list(
      items,
      keyColumns(context.now()),
      "No key is trusted yet. Make one: drp images keys create NAME",
    );
  });
}

export function addReleaseFloors(cli: Cli, images: Command): void {
  const floors = images.command("floors").description("releases below which nothing is rolled out again");

  cli.on(floors.command("list").description("the floor of each image name"), async ({ context }) => {
    const items = await context.api().list("/release-floors", releaseFloorSchema);
    context.out.list(items, floorColumns(context.now()), "No floor yet: one rises when a rollout is done.");
  });

  const lower = floors
    .command("lower")
    .argument("<image>", "its name, without a version")
    .requiredOption("--release <number>", "the lowest release that may be rolled out again", parseRelease)
    .requiredOption("--reason <text>", "kept in the events")
    .description("let older releases in again");
  cli.on<{ release: number; reason: string }>(lower, async call => {
    const path = `/release-floors/${encodeURIComponent(firstArgument(call))}/lower`;
    const { release, reason } = call.options;
    const floor = await call.context.api().post(path, { release, reason }, releaseFloorSchema);
    call.context.out.done(floor, `${floor.imageName} may be rolled out from release ${floor.release} on`);
  });
}

/** Releases may be counted by the time: ten digits and more. */
function parseRelease(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("Write a whole number.");
  return Number(text);
}

function keyColumns(now: EpochMs): Column<ImageKey>[] {
  return [
    { title: "NAME", cell: key => key.name },
    { title: "KEY ID", cell: key => key.keyId.slice(0, KEY_ID_CHARACTERS) },
    { title: "EXPIRES", cell: key => expiryText(key, now) },
    { title: "TRUSTED", cell: key => formatAge(key.trustedAt, now), dropFirst: 1 },
    { title: "BY", cell: key => key.trustedBy, dropFirst: 2 },
  ];
}

function expiryText({ expiresAt }: ImageKey, now: EpochMs): string {
  if (expiresAt === null) return "never";
  const at = Date.parse(expiresAt);
  return at <= now ? `expired ${formatAge(at, now)}` : formatAge(at, now);
}

function floorColumns(now: EpochMs): Column<ReleaseFloor>[] {
  return [
    { title: "IMAGE", cell: floor => floor.imageName },
    { title: "RELEASE", cell: floor => String(floor.release), align: "right" },
    { title: "SINCE", cell: floor => formatAge(floor.setAt, now), dropFirst: 2 },
    { title: "WHY", cell: floor => floor.reason, dropFirst: 1 },
  ];
}
