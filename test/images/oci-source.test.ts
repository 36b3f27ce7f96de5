import { execFileSync, spawn } from "node:child_process";
import { hash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FileTree } from "../../src/images/file-tree.ts";
import { ContentSpool } from "../../src/images/io/content-spool.ts";
import { layOciImage, type OciRequest } from "../../src/images/io/oci-source.ts";
import { layTar } from "../../src/images/io/tar-source.ts";
import { DEMANDING_LAYERS, describeTree, file, HOST_ARCHITECTURE, OciTools } from "./oci-peers.ts";
import { rawTar } from "./raw-tar.ts";

let dir: string;
let tools: OciTools | undefined;
let missing = "";
let layout: string;
let spools = 0;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-oci-"));
  try {
    tools = await OciTools.fetch(dir);
  } catch (error) {
    missing = String(error);
    return;
  }
  layout = await tools.makeLayout("demanding", DEMANDING_LAYERS);
}, 300_000);
afterAll(() => rm(dir, { recursive: true }));

beforeEach(context => {
  if (tools === undefined) context.skip(missing);
});

function peers(): OciTools {
  if (tools === undefined) throw new Error(missing);
  return tools;
}

async function lay(
  source: string,
  more: Partial<OciRequest> = {},
): Promise<{ lines: string[]; digest: string | undefined }> {
  const tree = new FileTree();
  await using spool = await ContentSpool.create(join(dir, `spool-${spools++}`));
  const { digest } = await layOciImage({ source, architecture: HOST_ARCHITECTURE, ...more }, tree, spool);
  return { lines: await describeTree(tree), digest };
}

/** What umoci unpacks, seen through GNU tar. */
async function unpackedByUmoci(): Promise<string[]> {
  await peers().run("umoci", "raw", "unpack", "--image", "demanding:v1", "unpacked");
  const tree = new FileTree();
  await using spool = await ContentSpool.create(join(dir, `spool-${spools++}`));
  const flags = ["--create", "--xattrs", "--xattrs-include=*", "--format=posix", "--numeric-owner"];
  const pack = spawn("tar", [...flags, "--directory", join(dir, "unpacked"), "."], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await layTar(tree, pack.stdout, spool);
  return await describeTree(tree);
}

describe("layOciImage() of a layout", () => {
  test("gives the tree that umoci unpacks: names, kinds, modes, owners, attributes, links, contents", async context => {
    if (process.getuid?.() !== 0) context.skip("umoci makes devices and owners only as root");
    const { lines, digest } = await lay(layout);
    expect(lines).toEqual(await unpackedByUmoci());
    expect(lines.length).toBeGreaterThan(20);
    const index = JSON.parse(await readFile(join(layout, "index.json"), "utf8"));
    expect(digest).toBe(index.manifests[0].digest);
  });

  test("gives the same tree from every form that skopeo makes of it", async () => {
    const { lines } = await lay(layout);
    const copy = (...args: string[]) => peers().run("skopeo", "copy", ...args);
    await copy("oci:demanding:v1", "oci-archive:image.tar:v1");
    await copy("oci:demanding:v1", "docker-archive:saved.tar:name:v1");
    await copy("--dest-compress-format=zstd", "oci:demanding:v1", "oci:zstd:v1");
    execFileSync("xz", ["--keep", "-1", "image.tar"], { cwd: dir });
    for (const form of ["image.tar", "saved.tar", "image.tar.xz", "zstd"]) {
      expect((await lay(join(dir, form))).lines, form).toEqual(lines);
    }
    expect((await readdir(dir)).filter(name => name.startsWith(".oci-"))).toEqual([]);
  });

  test("refuses an image for another processor, and says what there is", async () => {
    const other = HOST_ARCHITECTURE === "amd64" ? "arm64" : "amd64";
    await expect(lay(layout, { architecture: other })).rejects.toMatchObject({
      code: "image.wrong-architecture",
      message: expect.stringContaining(`"${HOST_ARCHITECTURE}"`),
    });
  });
});

describe("layOciImage() of a damaged layout", () => {
  let copy: string;
  let layers: { digest: string; size: number }[];
  let manifestPath: string;
  const blob = (digest: string) => join(copy, "blobs/sha256", digest.slice("sha256:".length));

  beforeEach(async () => {
    copy = await mkdtemp(join(dir, "damaged-"));
    execFileSync("cp", ["-a", `${layout}/.`, copy]);
    const index = JSON.parse(await readFile(join(copy, "index.json"), "utf8"));
    manifestPath = blob(index.manifests[0].digest);
    layers = JSON.parse(await readFile(manifestPath, "utf8")).layers;
  });

  test.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
    [
      "a flipped bit",
      bytes => flip(bytes, bytes.length >> 1),
      /other bytes than its digest|not gzip data, or is damaged/,
    ],
    ["a flipped bit that gzip does not see", bytes => flip(bytes, 4), /other bytes than its digest/],
    ["a cut layer", bytes => bytes.subarray(0, -9), /ends after \d+ of \d+ bytes/],
    ["a longer layer", bytes => Buffer.concat([bytes, Buffer.of(1)]), /more than the \d+ bytes/],
  ])("refuses %s by its digest", async (_, damage, words) => {
    const path = blob(layers[0]?.digest ?? "");
    await writeFile(path, damage(await readFile(path)));
    await expect(lay(copy)).rejects.toMatchObject({
      code: "input.unreadable",
      message: expect.stringMatching(words),
    });
  });

  test("refuses a manifest that was changed, a blob that is gone, and one that is a link out of the layout", async () => {
    const path = blob(layers[0]?.digest ?? "");
    await rm(path);
    await expect(lay(copy)).rejects.toMatchObject({
      message: expect.stringContaining('has no "blobs/sha256/'),
    });
    await symlink(join(dir, "elsewhere"), path);
    await writeFile(join(dir, "elsewhere"), "secret");
    await expect(lay(copy)).rejects.toMatchObject({
      message: expect.stringContaining('has no "blobs/sha256/'),
    });
    const text = await readFile(manifestPath, "utf8");
    await writeFile(manifestPath, text.replace("gzip", "gzit"));
    await expect(lay(copy)).rejects.toMatchObject({
      message: expect.stringContaining("other bytes than its digest"),
    });
  });

  test.each([
    ["a name that climbs", "../outside/layer.tar"],
    ["a name below a link out of it", "link/layer.tar"],
  ])("reads nothing beside its folder: %s", async (_, name) => {
    const saved = await mkdtemp(join(dir, "saved-"));
    const outside = join(dir, "outside");
    await mkdir(outside, { recursive: true });
    const layer = rawTar({ name: "etc/secret", content: "secret" });
    await writeFile(join(outside, "layer.tar"), layer);
    await symlink(outside, join(saved, "link"));
    const config = {
      ...{ os: "linux", architecture: HOST_ARCHITECTURE },
      rootfs: { type: "layers", diff_ids: [`sha256:${hash("sha256", layer)}`] },
    };
    await writeFile(join(saved, "config.json"), JSON.stringify(config));
    const describe = (layerName: string) =>
      writeFile(
        join(saved, "manifest.json"),
        JSON.stringify([{ Config: "config.json", Layers: [layerName] }]),
      );
    await describe(name);
    await expect(lay(saved)).rejects.toMatchObject({
      code: "input.unreadable",
      message: `${saved} has no "${name}"`,
    });
    await writeFile(join(saved, "layer.tar"), layer);
    await describe("./layer.tar");
    expect((await lay(saved)).lines.join()).toContain("etc/secret");
  });

  test("says nothing of a file that is no index", async () => {
    await writeFile(join(copy, "index.json"), "root:x:0:0");
    const error = await lay(copy).catch((refusal: Error) => refusal);
    expect(error).toMatchObject({ code: "input.unreadable" });
    expect(String((error as Error).cause ?? "") + (error as Error).message).not.toContain("root:x");
  });
});

describe("layOciImage() of layers that mean harm", () => {
  let serial = 0;
  const layHostile = async (...entries: Parameters<typeof file>[]) => {
    const made = await peers().makeLayout(`hostile-${serial++}`, [
      entries.map(([name, content, more]) => file(name, content, more)),
    ]);
    return await lay(made);
  };
  test.each([["../escape"], ["/etc/passwd"], ["a/../../escape"]])("refuses the name %s", async name => {
    await expect(layHostile([name, "x"])).rejects.toMatchObject({
      code: "input.unreadable",
      message: expect.stringContaining(name),
    });
  });
});

function flip(bytes: Buffer, at: number): Buffer {
  const damaged = Buffer.from(bytes);
  damaged[at] = (damaged[at] ?? 0) ^ 1;
  return damaged;
}
