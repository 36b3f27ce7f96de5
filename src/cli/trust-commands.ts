/**
 * `drp images sign | verify` and `drp images keys …`: whatever needs a private key or judges a signature happens on this
 * host, so that no key ever goes to the hub. Like local-commands.ts, this file may call the domain.
 */
import { InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { type Image, imageKeySchema, imageSchema, keyListSchema } from "../api/wire.ts";
import { shortDigest } from "../core/bytes.ts";
import { DrpError } from "../core/errors.ts";
import type { KeyChain } from "../images/key-chain.ts";
import type { ListedKey, SignedKeyList } from "../images/key-list.ts";
import type { CliContext, Invocation } from "./cli.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { LocalCommand } from "./local-command.ts";
import { collect } from "./options.ts";

const KEY_ID_CHARACTERS = 16;

export const TRUST_COMMANDS: readonly LocalCommand[] = [
  {
    path: "images sign",
    summary: "sign a bundle anew with another key; its content stays as it is",
    declare: command =>
      command
        .argument("<bundle>", "file made by `drp images build`")
        .requiredOption("--key <file>", "private key of `drp images keys create`")
        .requiredOption("--out <file>", "the bundle to write; may be the old one"),
    run: signImage,
  },
  {
    path: "images verify",
    summary: "check a bundle's signature and every chunk; or ask the hub about an image",
    declare: command =>
      command
        .argument("<bundle>", "a file, or an image of the hub: digest, NAME:VERSION or version")
        .option("--key <file>", "trust exactly this public key")
        .addOption(
          new Option("--keys <file>", "trust the key list of `drp images keys export`").conflicts("key"),
        ),
    run: verifyImage,
  },
  {
    path: "images keys trust",
    summary: "trust a key; all but a fleet's first need the signature of one that is trusted",
    declare: command =>
      command
        .argument("<file>", "public key (PEM), such as ci.pub")
        .option("--name <name>", "what to call it (default: the file's name)")
        .option("--expires <time>", "from then on its signatures count no more: 2027-03-01", parseExpiry)
        .option("--sign-with <file>", "private key that is trusted already"),
    run: trustKey,
  },
  {
    path: "images keys rotate",
    summary: "make, sign and publish the next key list: some keys come, some go",
    declare: command =>
      command
        .addOption(new Option("--add <file>", "public key that comes (repeatable)").argParser(collect))
        .addOption(
          new Option("--retire <key>", "name or id of one that goes (repeatable)").argParser(collect),
        )
        .requiredOption("--sign-with <file>", "private key of the list of before")
        .option("--expires <time>", "of the keys that come: 2027-03-01", parseExpiry)
        .option("--list <file>", "offline: the lists of `drp images keys export`")
        .option("--out <file>", "write the lists there and publish nothing"),
    run: rotateKeys,
  },
  {
    path: "images keys retire",
    summary: "trust a key no longer: machines refuse what it has signed",
    declare: command =>
      command
        .argument("<key>", "name or key id")
        .requiredOption("--sign-with <file>", "private key that is trusted; the retired one may sign too"),
    run: ({ context, args, options }: Invocation<{ signWith: string }>) =>
      rotateKeys({ context, args: [], options: { ...options, retire: [...args] } }),
  },
  {
    path: "images keys export",
    summary: "write every key list, to verify or to rotate away from the hub",
    declare: command => command.argument("<file>", "to write"),
    run: exportKeys,
  },
  {
    path: "images keys publish",
    summary: "give the hub key lists that were made offline",
    declare: command => command.argument("<file>", "of `drp images keys rotate --out`"),
    run: publishKeys,
  },
];

async function signImage({
  context,
  args,
  options,
}: Invocation<{ key: string; out: string }>): Promise<void> {
  const { signBundle } = await import("../images/io/sign-bundle.ts");
  const [file = ""] = args;
  const signed = await signBundle(file, context.readTextFile(options.key), options.out);
  const { digest, keyId, keyIdBefore, manifest } = signed;
  context.out.done(
    { digest, keyId, keyIdBefore, out: options.out },
    `${options.out}: ${manifest.name}:${manifest.version} (${shortDigest(digest)}), signed by ${short(keyId)} in place of ${short(keyIdBefore)}`,
  );
  context.out.remark(`next: drp images push ${options.out}`);
}

interface VerifyOptions {
  readonly key?: string;
  readonly keys?: string;
}

async function verifyImage(call: Invocation<VerifyOptions>): Promise<ExitCode> {
  const { context, args, options } = call;
  const { existsSync } = await import("node:fs");
  const [reference = ""] = args;
  if (!existsSync(reference)) return await verifyAtHub(context, reference);
  const { verifyBundle } = await import("../images/io/verify-bundle.ts");
  const keys = await keysToTrust(context, options);
  const bar = context.startProgress();
  const verdict = await verifyBundle(context.openFile(reference), keys, (doneBytes, totalBytes) =>
    bar.update({ label: "verifying", doneBytes, totalBytes }),
  ).finally(() => bar.stop());
  const { manifest, digest, keyId, chunks, problems } = verdict;
  const { name, version, release } = manifest;
  const good = problems.length === 0;
  context.out.record({ name, version, release, digest, keyId, chunks, problems }, [
    ["Image", `${name}:${version} for ${manifest.architecture}, release ${release}`],
    ["Digest", digest],
    ["Signed by", short(keyId)],
    ["Chunks", String(chunks)],
    ...problems.map((problem): [string, string] => ["Wrong", problem]),
    ["Verdict", good ? "it is what was signed, by a key that counts" : "do not use it"],
  ]);
  return good ? EXIT.done : EXIT.failed;
}

/** The hub has checked every chunk when the image came; what may have changed since is whether its key counts. */
async function verifyAtHub(context: CliContext, reference: string): Promise<ExitCode> {
  const image: Image = await context.api().get(`/images/${encodeURIComponent(reference)}`, imageSchema);
  const problem = image.signatureRefusal ?? image.denied?.reason;
  context.out.record(image, [
    ["Image", `${image.name}:${image.version}, release ${image.release}`],
    ["Digest", image.digest],
    ["Signed by", short(image.keyId)],
    ...(problem === undefined ? [] : [["Wrong", problem] as const]),
    ["Verdict", problem === undefined ? "its signature counts today" : "no machine is given it"],
  ]);
  return problem === undefined ? EXIT.done : EXIT.failed;
}

async function keysToTrust(context: CliContext, options: VerifyOptions) {
  const { parseTrustedKey } = await import("../images/keys.ts");
  if (options.key !== undefined) return [parseTrustedKey(context.readTextFile(options.key))];
  const { knownKeys, provenTime } = await import("../images/key-chain.ts");
  const chain = await readChain(context, options.keys);
  return knownKeys(chain, provenTime(chain, { at: context.now(), by: "this computer's clock" }));
}

interface TrustOptions {
  readonly name?: string;
  readonly expires?: string;
  readonly signWith?: string;
}

async function trustKey({ context, args, options }: Invocation<TrustOptions>): Promise<void> {
  const [file = ""] = args;
  const key = await readListedKey(context, file, options);
  if (options.signWith !== undefined) {
    const lists = await nextLists(
      context,
      await fetchLists(context),
      { add: [key], retire: [] },
      options.signWith,
    );
    return await publish(context, lists);
  }
  const { publicKeyPem, name, expiresAt } = key;
  const trusted = await context.api().post("/image-keys", { name, publicKeyPem, expiresAt }, imageKeySchema);
  context.out.done(trusted, `images signed with ${trusted.name} (${short(trusted.keyId)}) are accepted now`);
  context.out.remark(
    "Make a second key, keep it offline, and trust it too: without a key that signs the next list, none can be replaced.",
  );
}

interface RotateOptions {
  readonly add?: readonly string[];
  readonly retire?: readonly string[];
  readonly signWith: string;
  readonly expires?: string;
  readonly list?: string;
  readonly out?: string;
}

async function rotateKeys({ context, options }: Invocation<RotateOptions>): Promise<void> {
  const { add = [], retire = [], expires, list, out, signWith } = options;
  if (add.length === 0 && retire.length === 0) {
    throw new DrpError("request.invalid", "nothing to change", {
      advice: "Give --add FILE, --retire KEY, or both.",
    });
  }
  if (list !== undefined && out === undefined) {
    throw new DrpError("request.invalid", "--list works without the hub, so the new lists need a file", {
      advice: "Give --out FILE, and publish it later: drp images keys publish FILE",
    });
  }
  const flags = expires === undefined ? {} : { expires };
  const added = await Promise.all(add.map(file => readListedKey(context, file, flags)));
  const before = list === undefined ? await fetchLists(context) : readLists(context, list);
  const lists = await nextLists(context, before, { add: added, retire }, signWith);
  if (out === undefined) return await publish(context, lists);
  await writeLists(out, lists);
  context.out.done({ out, version: lists.length }, `${out}: ${lists.length} key lists, the newest made now`);
  context.out.remark(`next: drp images keys publish ${out}`);
}

async function nextLists(
  context: CliContext,
  before: readonly SignedKeyList[],
  change: { readonly add: readonly ListedKey[]; readonly retire: readonly string[] },
  signWith: string,
): Promise<SignedKeyList[]> {
  const { decideKeyLists, parseKeyChain } = await import("../images/key-chain.ts");
  const { signKeyList } = await import("../images/key-list.ts");
  const { nextKeyList } = await import("../images/next-key-list.ts");
  const chain = parseKeyChain(before);
  const next = nextKeyList(chain, { ...change, now: context.now() });
  if (next.kind === "refused") throw new DrpError("key-list.rejected", next.reason, { advice: next.advice });
  const signed = signKeyList(next.list, context.readTextFile(signWith));
  // What the hub and every machine would refuse is refused here first.
  const decision = decideKeyLists(chain, [signed]);
  if (decision.kind === "refused") {
    throw new DrpError("key-list.rejected", decision.reason, { advice: decision.advice });
  }
  return [...before, signed];
}

async function publish(context: CliContext, lists: readonly SignedKeyList[]): Promise<void> {
  const api = context.api();
  const keysSchema = z.object({ items: z.array(imageKeySchema) });
  const { items } = await api.post("/image-key-lists", { lists }, keysSchema);
  const names = items.map(({ name }) => name).join(", ");
  context.out.done(items, `key list ${lists.length} counts now: images are signed by ${names}`);
  const trusted = new Set(items.map(({ keyId }) => keyId));
  const left = (await api.list("/images", imageSchema)).filter(image => !trusted.has(image.keyId));
  if (left.length === 0) return;
  const some = left.slice(0, 3).map(image => `${image.name}:${image.version}`);
  context.out.remark(
    `${left.length === 1 ? "1 image is" : `${left.length} images are`} signed by keys that have gone (${some.join(", ")}${left.length > 3 ? ", …" : ""}): no machine takes one, also not to go back to it, until it is signed anew (drp images sign) and pushed`,
  );
}

async function exportKeys({ context, args }: Invocation<unknown>): Promise<void> {
  const [file = ""] = args;
  const lists = await fetchLists(context);
  await writeLists(file, lists);
  context.out.done({ file, lists: lists.length }, `${file}: ${lists.length} key lists`);
}

async function publishKeys({ context, args }: Invocation<unknown>): Promise<void> {
  const [file = ""] = args;
  await publish(context, readLists(context, file));
}

async function readListedKey(
  context: CliContext,
  file: string,
  { name, expires }: Pick<TrustOptions, "name" | "expires">,
): Promise<ListedKey> {
  const { parseTrustedKey } = await import("../images/keys.ts");
  const { keyId, publicKeyPem } = parseTrustedKey(context.readTextFile(file));
  return { keyId, name: name ?? nameOfFile(file), publicKeyPem, expiresAt: expires ?? null };
}

async function readChain(context: CliContext, file: string | undefined): Promise<KeyChain> {
  const { parseKeyChain } = await import("../images/key-chain.ts");
  return parseKeyChain(file === undefined ? await fetchLists(context) : readLists(context, file));
}

async function fetchLists(context: CliContext): Promise<SignedKeyList[]> {
  const records = await context.api().list("/image-key-lists", keyListSchema);
  return records.map(({ listText, signature }) => ({ listText, signature }));
}

const listsSchema = z.array(keyListSchema.pick({ listText: true, signature: true }));

function readLists(context: CliContext, file: string): SignedKeyList[] {
  try {
    return listsSchema.parse(JSON.parse(context.readTextFile(file)));
  } catch (cause) {
    if (cause instanceof DrpError) throw cause;
    throw new DrpError("input.unreadable", `${file} holds no key lists`, {
      advice: "Write it with: drp images keys export FILE",
      cause,
    });
  }
}

async function writeLists(file: string, lists: readonly SignedKeyList[]): Promise<void> {
  const { writeWhole } = await import("../images/io/durable-files.ts");
  try {
    await writeWhole(file, `${JSON.stringify(lists, null, 1)}\n`);
  } catch (cause) {
    throw new DrpError("data.unwritable", `cannot write ${file}`, { cause });
  }
}

/** "keys/ci.pub" → "ci" */
function nameOfFile(file: string): string {
  const base = file.slice(file.lastIndexOf("/") + 1);
  return base.replace(/\.[^.]+$/, "").toLowerCase();
}

function parseExpiry(text: string): string {
  const at = /^\d{4}-\d{2}-\d{2}(T.*)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new InvalidArgumentError("Write it as 2027-03-01 or 2027-03-01T12:00:00Z.");
  return new Date(at).toISOString();
}

const short = (keyId: string) => keyId.slice(0, KEY_ID_CHARACTERS);
