import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../api/hub.ts";
import { type HubUser, runDrp, userOf } from "./run-drp.ts";

let hub: TestHub;
let user: HubUser;

beforeAll(async () => {
  hub = await startTestHub();
  user = userOf(hub);
});

afterAll(async () => {
  user[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

const env = () => ({ ...user.env, PATH: `${process.env.PATH}:/sbin:/usr/sbin` });
const drp = (...args: string[]) => runDrp(args, env());

test("an image is built, signed and pushed; a second push says that it was there", async () => {
  const rootfs = join(user.folder, "rootfs");
  mkdirSync(join(rootfs, "boot"), { recursive: true });
  writeFileSync(join(rootfs, "boot/vmlinuz"), "kernel");
  writeFileSync(join(rootfs, "boot/initrd.img"), "ramdisk");
  const key = join(user.folder, "ci");
  const bundle = join(user.folder, "app-v1.tar");
  expect((await drp("images", "keys", "create", key)).code).toBe(0);
  const built = await drp(
    ...["images", "build", "--from", rootfs, "--name", "app", "--version", "v1"],
    ...["--health", "app=/usr/lib/health --fast", "--key", `${key}.key`, "--out", bundle, "--size", "8MiB"],
  );
  expect(built).toMatchObject({ code: 0 });
  const { digest } = JSON.parse(built.stdout);

  const refused = await drp("images", "push", bundle);
  expect(refused.stderr).toMatch(/^drp: the manifest is signed by key .*, which is not trusted$/m);
  expect(refused.code).toBe(1);

  expect(await drp("images", "keys", "trust", `${key}.pub`, "-o", "table")).toMatchObject({ code: 0 });
  const first = await drp("images", "push", bundle);
  expect(JSON.parse(first.stdout)).toMatchObject({
    alreadyPresent: false,
    image: { digest, version: "v1" },
  });
  const second = await drp("images", "push", bundle, "-o", "table");
  expect(second.stdout).toContain("app:v1 was already there");
  expect(JSON.parse((await drp("images", "show", "app:v1")).stdout).digest).toBe(digest);
  expect((await drp("images", "destroy", "v1")).code).toBe(0);
  expect((await drp("images", "list")).stdout).toBe("");
});

test("what is no bundle is refused with what is wrong with it", async () => {
  const bundle = join(user.folder, "cut.tar");
  writeFileSync(bundle, readFileSync(process.execPath).subarray(0, 3 * 1024 * 1024));
  const { code, stdout, stderr } = await drp("images", "push", bundle);
  expect(stderr).toMatch(/^drp: this is no tar, or a damaged one, near byte \d+/m);
  expect(stdout).toBe("");
  expect(code).toBe(1);
});

test("a file that is not there is named", async () => {
  const { code, stderr } = await drp("images", "push", "no-such.tar");
  expect(stderr).toContain("drp: cannot read no-such.tar");
  expect(code).toBe(1);
});
