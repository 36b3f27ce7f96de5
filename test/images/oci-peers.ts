/** Other people's tools for container images, and an image that uses what layers can do. */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import tar from "tar-stream";
import { fetchPrograms, type Programs } from "../../bench/peers.ts";
import type { FileTree } from "../../src/images/file-tree.ts";
import type { FileContent, TreeNode } from "../../src/images/tree-node.ts";

export type Architecture = "amd64" | "arm64";
/** What umoci makes images for. */
export const HOST_ARCHITECTURE: Architecture = process.arch === "arm64" ? "arm64" : "amd64";

export class OciTools {
  readonly #programs: Programs;
  readonly dir: string;

  private constructor(programs: Programs, dir: string) {
    this.#programs = programs;
    this.dir = dir;
  }

  static async fetch(dir: string): Promise<OciTools> {
    const packages = ["umoci", "skopeo", "docker-registry"];
    return new OciTools(await fetchPrograms(packages, "OCI images are not compared with other tools"), dir);
  }

  async run(program: "umoci" | "skopeo", ...args: string[]): Promise<void> {
    const more = program === "skopeo" ? ["--insecure-policy", "--tmpdir", this.dir] : [];
    await promisify(execFile)(this.#programs.find(program), [...more, ...args], {
      cwd: this.dir,
      env: { ...process.env, ...this.#programs.env, HOME: this.dir },
    });
  }

  /** Debian's docker-registry on a port of its own choice. */
  async serveRegistry(auth = ""): Promise<{ host: string; stop: () => Promise<void> }> {
    const root = join(this.dir, `registry-${Math.random()}`);
    await mkdir(root);
    const config = `${root}.yml`;
    const storage = `storage: {filesystem: {rootdirectory: ${JSON.stringify(root)}}}`;
    await writeFile(config, `version: 0.1\n${storage}\nhttp: {addr: "127.0.0.1:0"}\n${auth}\n`);
    const server = spawn(this.#programs.find("docker-registry"), ["serve", config], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = new Promise<void>(resolve => server.on("close", () => resolve()));
    let said = "";
    for await (const line of createInterface({ input: server.stderr })) {
      said += `${line}\n`;
      const port = /listening on 127\.0\.0\.1:([0-9]+)/.exec(line)?.[1];
      if (port === undefined) continue;
      server.stderr.resume();
      return {
        host: `127.0.0.1:${port}`,
        stop: async () => {
          server.kill();
          await ended;
        },
      };
    }
    throw new Error(`docker-registry does not listen: ${said}`);
  }

  /** An image layout DIR/NAME with the tag "v1". */
  async makeLayout(name: string, layers: readonly (readonly LayerEntry[])[]): Promise<string> {
    await this.run("umoci", "init", "--layout", name);
    await this.run("umoci", "new", "--image", `${name}:v1`);
    for (const [index, entries] of layers.entries()) {
      const path = join(this.dir, `${name}-${index}.tar`);
      await writeFile(path, await packLayer(entries));
      await this.run("umoci", "raw", "add-layer", "--image", `${name}:v1`, path);
    }
    return join(this.dir, name);
  }
}

export type LayerEntry = Partial<tar.Header> & { readonly name: string; readonly content?: Buffer };

async function packLayer(entries: readonly LayerEntry[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const { content, ...header } of entries) {
    pack.entry({ ...header, mtime: new Date(1_700_000_000_000) }, content ?? Buffer.alloc(0));
  }
  pack.finalize();
  return await buffer(pack);
}

const directory = (name: string, more: Partial<tar.Header> = {}): LayerEntry => ({
  name,
  type: "directory",
  mode: 0o755,
  ...more,
});
export const file = (name: string, content: Buffer | string, more: Partial<tar.Header> = {}): LayerEntry => ({
  name,
  mode: 0o644,
  ...more,
  content: Buffer.from(content),
});

/** Whiteouts before and behind what they hide, opaque directories, links across layers, kinds that replace each other. */
export const DEMANDING_LAYERS: readonly (readonly LayerEntry[])[] = [
  [
    directory("etc"),
    file("etc/hostname", "lower\n", { uid: 7, gid: 8 }),
    directory("usr/bin", { mode: 0o1755 }),
    { name: "bin", type: "symlink", linkname: "usr/bin" },
    file("usr/bin/tool", "#!/bin/sh\n", { mode: 0o4755, pax: { "SCHILY.xattr.user.note": "kept" } }),
    { name: "usr/bin/tool-too", type: "link", linkname: "usr/bin/tool" },
    directory("dev"),
    { name: "dev/null", type: "character-device", devmajor: 1, devminor: 3, mode: 0o666 },
    { name: "dev/disk", type: "block-device", devmajor: 8, devminor: 1, mode: 0o660, gid: 6 },
    { name: "dev/pipe", type: "fifo", mode: 0o600 },
    directory("opt/old/deep"),
    file("opt/old/a", "a"),
    file("opt/old/deep/c", "c"),
    directory("opt/hidden"),
    file("opt/hidden/x", "x"),
    directory("opt/hidden/y"),
    directory("var/becomes-file"),
    file("var/becomes-file/child", "gone"),
    file("var/becomes-directory", "gone"),
    { name: "var/becomes-link", type: "symlink", linkname: "nowhere" },
    file("big", Buffer.alloc(3_000_000, "a layer that is worth a range; ")),
  ],
  [
    directory("etc"),
    file("etc/hostname", "upper\n", { uid: 9, gid: 10, mode: 0o600 }),
    file("opt/old/.wh.a", ""),
    file("opt/old/.wh.deep", ""),
    file("opt/hidden/.wh..wh..opq", ""),
    file("opt/hidden/new", "seen"),
    file("var/.wh.becomes-file", ""),
    file("var/.wh.becomes-directory", ""),
    file("var/.wh.becomes-link", ""),
    file("random", createHash("sha512").update("seed").digest()),
  ],
  [
    file("var/becomes-file", "a file now"),
    directory("var/becomes-directory", { mode: 0o700 }),
    file("var/becomes-directory/child", "new"),
    file("var/becomes-link", "a file too"),
    { name: "etc/link-to-lower", type: "link", linkname: "usr/bin/tool" },
  ],
];

/** One line for each name: all that a machine would see of it, but for the times of directories. */
export async function describeTree(tree: FileTree): Promise<string[]> {
  const lines: string[] = [];
  const firstNames = new Map<TreeNode, string>();
  const visit = async (node: TreeNode, path: string): Promise<void> => {
    const xattrs = [...node.xattrs].map(([name, value]) => `${name}=${value.toString("hex")}`).sort();
    // Linux shows every symbolic link so, whatever an archive says.
    const mode = node.kind === "symlink" ? 0o777 : node.mode;
    const first = firstNames.get(node) ?? path;
    firstNames.set(node, first);
    lines.push(
      [
        path,
        node.kind,
        mode.toString(8),
        `${node.uid}:${node.gid}`,
        first,
        ...xattrs,
        await detail(node),
      ].join(" "),
    );
    if (node.kind !== "directory") return;
    for (const [name, child] of [...node.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
      await visit(child, `${path}/${name}`);
    }
  };
  await visit(tree.root, "");
  return lines;
}

async function detail(node: TreeNode): Promise<string> {
  if (node.kind === "symlink") return node.target;
  if (node.kind === "character-device" || node.kind === "block-device") return `${node.major},${node.minor}`;
  if (node.kind !== "file") return "";
  return `${node.mtime} ${createHash("sha256")
    .update(await contentOf(node.content))
    .digest("hex")}`;
}

async function contentOf({ path, sizeBytes, runs }: FileContent): Promise<Buffer> {
  const bytes = Buffer.alloc(sizeBytes);
  await using spool = await open(path);
  for (const run of runs) await spool.read(bytes, run.offsetBytes, run.sizeBytes, run.storedAtBytes);
  return bytes;
}
