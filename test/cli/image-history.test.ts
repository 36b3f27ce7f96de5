import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../api/hub.ts";
import { makeBundle, makeKey, noise, streamOf } from "../images/bundles.ts";
import { makeVolume } from "../images/ext4-reader/odd-tree.ts";
import { type HubUser, runDrp, userOf } from "./run-drp.ts";

let hub: TestHub;
let user: HubUser;
let ci: HubUser;

beforeAll(async () => {
  hub = await startTestHub();
  user = userOf(hub, "operator");
  ci = userOf(hub, "ci");
  const key = makeKey();
  await hub.call("POST", "/api/v1/image-keys", { body: { name: "ci", publicKeyPem: key.publicKeyPem } });
  const tree = join(user.folder, "tree");
  mkdirSync(join(tree, "etc"), { recursive: true });
  for (const release of [1, 2, 3, 4, 5]) {
    writeFileSync(join(tree, "etc", "motd"), noise(100_000 * release, release));
    if (release === 5) writeFileSync(join(tree, "etc", "new"), "", { mode: 0o644 });
    const image = makeVolume(tree, join(user.folder, "image.img"), "8m", "-t", "ext4");
    const kernelArguments = release === 5 ? ["console=ttyS0", "quiet"] : ["console=ttyS0"];
    const { bytes } = await makeBundle(image, key, "frames", {
      name: "app",
      version: `v${release}`,
      release,
      kernelArguments,
    });
    expect((await hub.call("POST", "/api/v1/images", { as: "ci", raw: streamOf(bytes) })).status).toBe(201);
    hub.advance(60_000);
  }
});

afterAll(async () => {
  user[Symbol.dispose]();
  ci[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

const drp = (...args: string[]) => runDrp(args, user.env);
const lines = (text: string) => text.trimEnd().split("\n");

test("CI pushes and moves canary; stable is moved by people, and both have a history", async () => {
  const asCi = (...args: string[]) => runDrp(args, ci.env);
  expect((await asCi("images", "tag", "v4", "canary", "-o", "table")).stdout).toMatch(
    /^app:canary is app:v4 \(sha256:/,
  );
  expect((await asCi("images", "tag", "v5", "canary")).code).toBe(0);
  const refused = await asCi("images", "tag", "v4", "stable");
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("the tag stable is moved by people"),
  });
  expect((await drp("images", "tag", "app:v4", "stable", "--reason", "a week without a fault")).code).toBe(0);
  expect(lines((await drp("images", "tags", "-o", "table")).stdout)).toEqual([
    expect.stringMatching(/^TAG +VERSION +DIGEST +MOVED +BY +WHY$/),
    expect.stringMatching(/^app:canary +v5 .* ci +-$/),
    expect.stringMatching(/^app:stable +v4 .* operator +a week without a fault$/),
  ]);
  expect(lines((await drp("images", "tags", "canary", "-o", "table")).stdout).slice(1)).toEqual([
    expect.stringMatching(/ v4 +v5 .* ci/),
    expect.stringMatching(/ - +v4 .* ci/),
  ]);
  const list = await drp("images", "list", "app", "-o", "table");
  expect(list.stdout).toMatch(/^app +v5 +canary /m);
  expect(JSON.parse((await drp("images", "show", "stable")).stdout)).toMatchObject({
    version: "v4",
    tags: ["stable"],
  });
  expect((await drp("images", "list", "other")).stdout).toBe("");
});

test("a diff names what changed, for people on one screen and for programs whole", async () => {
  const forPeople = await drp("images", "diff", "stable", "canary", "-o", "table");
  expect(forPeople).toMatchObject({ code: 0 });
  expect(forPeople.stdout).toMatch(/^Kernel arguments: +\+quiet$/m);
  expect(forPeople.stdout).toMatch(/^Packages: +not compared: there is no package database of dpkg or apk$/m);
  expect(forPeople.stdout).toMatch(/^Files: +1 added \(0 B\), 0 removed \(0 B\), 1 changed \(488 KiB\)$/m);
  expect(forPeople.stdout).toMatch(/^~ +391 KiB → 488 KiB +\/etc\/motd +content$/m);
  const whole = JSON.parse((await drp("images", "diff", "v4", "v5", "-o", "json")).stdout);
  expect(whole.files.changes.map(({ path }: { path: string }) => path)).toEqual(["etc/motd", "etc/new"]);
  const unknown = await drp("images", "diff", "v4", "v9");
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("no image is called v9") });
});

test("a prune says why each image stays or goes, and leaves what a tag names", async () => {
  const dry = await drp("images", "prune", "--keep", "1", "--dry-run", "-o", "table");
  expect(
    lines(dry.stdout)
      .slice(1)
      .map(line => line.replaceAll(/ {2,}/g, "  ")),
  ).toEqual([
    expect.stringMatching(/^keep {2}app:v5 {2}tag app:canary/),
    expect.stringMatching(/^keep {2}app:v4 {2}tag app:stable/),
    expect.stringMatching(/^remove {2}app:v3 {2}3rd newest of app; nothing needs it/),
    expect.stringMatching(/^remove {2}app:v2 /),
    expect.stringMatching(/^remove {2}app:v1 /),
  ]);
  expect(dry.stderr).toMatch(/^3 images would go: .* of data that no other has$/m);
  const old = await drp("images", "prune", "--keep", "0", "--older-than", "3650d");
  expect(JSON.parse(old.stdout).images.every(({ verdict }: { verdict: string }) => verdict === "keep")).toBe(
    true,
  );
  expect((await drp("images", "prune", "--keep", "1")).code).toBe(0);
  expect(lines((await drp("images", "list")).stdout)).toHaveLength(2);
  const held = await drp("images", "destroy", "v4");
  expect(held).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("app:v4 is used by tag app:stable"),
  });
  expect((await drp("images", "untag", "stable", "-o", "table")).stdout).toBe(
    "app:stable names nothing any more; it was v4\n",
  );
  expect((await drp("images", "destroy", "v4")).code).toBe(0);
  expect(lines((await drp("images", "tags", "app:stable", "-o", "table")).stdout)[1]).toMatch(
    / v4 +taken away /,
  );
});
