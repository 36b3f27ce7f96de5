/** `drp images list | show | destroy` */
import type { Command } from "commander";
import { type Image, imageSchema } from "../../api/wire.ts";
import { formatBytes, shortDigest } from "../../core/bytes.ts";
import type { EpochMs } from "../../core/time.ts";
import { type Cli, firstArgument } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { formatAge, formatTime } from "../format/words.ts";
import { addImageDiff } from "./image-diff.ts";
import { addImageKeys, addReleaseFloors } from "./image-keys.ts";
import { addImagePrune } from "./image-prune.ts";
import { addImageScrub } from "./image-scrub.ts";
import { addImageTags } from "./image-tags.ts";

const NO_IMAGES =
  "No images yet. Build and push the first one:\n" +
  "  drp images keys create NAME\n" +
  "  drp images build --help\n" +
  "  drp images push BUNDLE";

export function addImages(cli: Cli): Command {
  const images = cli.root.command("images").description("golden images in the registry");

  const list = images
    .command("list")
    .argument("[name]", "only versions of this name")
    .description("every image, newest first");
  cli.on(list, async ({ context, args: [name] }) => {
    const items = await context.api().list("/images", imageSchema, { name });
    context.out.list(items, columns(context.now()), NO_IMAGES);
  });

  const reference = "digest, NAME:VERSION, version or tag";
  cli.on(images.command("show").argument("<image>", reference).description("one image"), async call => {
    const image = await call.context.api().get(imagePath(firstArgument(call)), imageSchema);
    call.context.out.record(image, fields(image));
  });

  const destroy = images
    .command("destroy")
    .argument("<image>", reference)
    .description("remove an image that nothing uses");
  cli.on(destroy, async call => {
    const api = call.context.api();
    const image = await api.get(imagePath(firstArgument(call)), imageSchema);
    await api.delete(imagePath(image.digest));
    call.context.out.done(image, `${image.name}:${image.version} removed`);
  });

  addImageTags(cli, images);
  addImageDiff(cli, images);
  addImagePrune(cli, images);
  addImageScrub(cli, images);
  addImageKeys(cli, images);
  addReleaseFloors(cli, images);
  return images;
}

const imagePath = (image: string) => `/images/${encodeURIComponent(image)}`;

function columns(now: EpochMs): Column<Image>[] {
  return [
    { title: "NAME", cell: image => image.name },
    { title: "VERSION", cell: image => image.version },
    { title: "TAGS", cell: image => image.tags?.join(", ") ?? "", shrinkTo: 8 },
    { title: "ARCH", cell: image => image.architecture, dropFirst: 2 },
    { title: "SIZE", cell: image => formatBytes(image.sizeBytes), align: "right", dropFirst: 3 },
    { title: "DATA", cell: image => formatBytes(image.dataBytes), align: "right", dropFirst: 4 },
    { title: "DIGEST", cell: image => shortDigest(image.digest), dropFirst: 1 },
    { title: "REFUSED", cell: image => refusalText(image), dropFirst: 7 },
    { title: "PUSHED", cell: image => formatAge(image.pushedAt, now), dropFirst: 5 },
    { title: "BY", cell: image => image.pushedBy, dropFirst: 6 },
  ];
}

/** Why no machine is given it; empty for most. */
function refusalText({ denied, signatureRefusal }: Image): string {
  return signatureRefusal ?? (denied === undefined ? "" : `denied: ${denied.reason}`);
}

function releaseText({ release, minimumRelease }: Image): string {
  return minimumRelease === 0 ? String(release) : `${release}, replaces ${minimumRelease} or newer`;
}

function fields(image: Image): [string, string][] {
  return [
    ["Name", `${image.name}:${image.version}`],
    ["Digest", image.digest],
    ...(image.tags === undefined ? [] : [["Tags", image.tags.join(", ")] as [string, string]]),
    ["Architecture", image.architecture],
    ["Size", `${formatBytes(image.sizeBytes)}, ${formatBytes(image.dataBytes)} of it not zero`],
    ["Release", releaseText(image)],
    ["Signed by", image.keyId],
    ...(image.signatureRefusal === undefined
      ? []
      : [["Refused", image.signatureRefusal] as [string, string]]),
    ["Pushed", `${formatTime(image.pushedAt)} by ${image.pushedBy}`],
  ];
}
