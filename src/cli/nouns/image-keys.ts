/** `drp images keys list | trust | destroy`: whose signatures the hub accepts. */
import type { Command } from "commander";
import { type ImageKey, imageKeySchema } from "../../api/wire.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { type Cli, type CliContext, firstArgument } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { formatAge } from "../format/words.ts";

const KEY_ID_CHARACTERS = 16;

export function addImageKeys(cli: Cli, images: Command): void {
  const keys = images.command("keys").description("keys whose signatures are trusted");

  cli.on(keys.command("list").description("every trusted key"), async ({ context }) => {
    const items = await context.api().list("/image-keys", imageKeySchema);
    context.out.list(
      items,
      columns(context.now()),
      "No key is trusted yet. Make one: drp images keys create NAME",
    );
  });

  const trust = keys
    .command("trust")
    .argument("<file>", "public key (PEM), such as ci.pub")
    .option("--name <name>", "what to call it (default: the file's name)")
    .description("accept images that are signed with this key");
  cli.on<{ name?: string }>(trust, async call => {
    const file = firstArgument(call);
    const name = call.options.name ?? nameOfFile(file);
    const body = { name, publicKeyPem: call.context.readTextFile(file) };
    const key = await call.context.api().post("/image-keys", body, imageKeySchema);
    call.context.out.done(key, `images signed with ${key.name} (${shortKeyId(key)}) are accepted now`);
  });

  const destroy = keys
    .command("destroy")
    .argument("<key>", "name or key id")
    .description("accept no more images of this key");
  cli.on(destroy, async call => {
    const key = await findKey(call.context, firstArgument(call));
    await call.context.api().delete(`/image-keys/${key.keyId}`);
    call.context.out.done(key, `images signed with ${key.name} are refused from now on`);
  });
}

/** "keys/ci.pub" → "ci" */
function nameOfFile(file: string): string {
  const base = file.slice(file.lastIndexOf("/") + 1);
  return base.replace(/\.[^.]+$/, "").toLowerCase();
}

const shortKeyId = (key: ImageKey) => key.keyId.slice(0, KEY_ID_CHARACTERS);

async function findKey(context: CliContext, reference: string): Promise<ImageKey> {
  const keys = await context.api().list("/image-keys", imageKeySchema);
  const found = keys.filter(key => key.name === reference || key.keyId.startsWith(reference));
  const [key] = found;
  if (key !== undefined && found.length === 1) return key;
  throw new DrpError(
    "not-found",
    `${found.length === 0 ? "no" : "more than one"} trusted key is ${reference}`,
    {
      advice: "See them with: drp images keys list",
    },
  );
}

function columns(now: EpochMs): Column<ImageKey>[] {
  return [
    { title: "NAME", cell: key => key.name },
    { title: "KEY ID", cell: shortKeyId },
    { title: "TRUSTED", cell: key => formatAge(key.trustedAt, now), dropFirst: 1 },
    { title: "BY", cell: key => key.trustedBy, dropFirst: 2 },
  ];
}
