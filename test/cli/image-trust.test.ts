import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../api/hub.ts";
import { makeBundle, makeKey, smallImage } from "../images/bundles.ts";
import { NOW } from "../store/records.ts";
import { type HubUser, runDrp, userOf } from "./run-drp.ts";

let hub: TestHub;
let user: HubUser;
beforeAll(async () => {
  hub = await startTestHub();
  // Key lists are dated by the clock of who makes them.
  hub.advance(Date.now() - NOW);
  user = userOf(hub);
});
afterAll(async () => {
  user[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

const drp = (...args: string[]) => runDrp(args, user.env);
const keys = (...args: string[]) => drp("images", "keys", ...args);
const file = (name: string) => join(user.folder, name);

async function must(ended: ReturnType<typeof runDrp>): Promise<string> {
  const { code, stdout, stderr } = await ended;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return `${stdout}${stderr}`;
}

test("a key is trusted, rotated away in one step, and what it signed is refused until it is signed anew", async () => {
  await must(keys("create", file("old")));
  await must(keys("create", file("new")));
  expect(await must(keys("trust", file("old.pub"), "-o", "table"))).toMatch(
    /^images signed with old \([0-9a-f]{16}\) are accepted now\nMake a second key, keep it offline/,
  );
  const key = makeKey();
  const { bytes } = await makeBundle(smallImage(), key);
  const bundle = file("app.tar");
  writeFileSync(bundle, bytes);
  await must(drp("images", "sign", bundle, "--key", file("old.key"), "--out", bundle));
  await must(drp("images", "verify", bundle, "--key", file("old.pub")));
  await must(drp("images", "push", bundle));

  const unsigned = await keys("trust", file("new.pub"));
  expect(unsigned.stderr).toContain(
    "drp: the fleet has key list 1: another key is trusted only by a list that one of its keys has signed",
  );
  const rotated = await must(
    keys(
      "rotate",
      "--add",
      file("new.pub"),
      "--retire",
      "old",
      "--sign-with",
      file("old.key"),
      "-o",
      "table",
    ),
  );
  expect(rotated).toContain("key list 2 counts now: images are signed by new");
  expect(rotated).toContain("1 image is signed by keys that have gone (golden:1.0): no machine takes one");

  const refused = await drp("images", "verify", bundle, "-o", "table");
  expect(refused.code).toBe(1);
  expect(refused.stdout).toMatch(/which was rotated out by key list 2 at 20/);
  expect(refused.stdout).toContain("do not use it");
  expect((await drp("images", "verify", "golden:1.0", "-o", "table")).stdout).toMatch(
    /it is signed by key old, which was rotated out by key list 2/,
  );
  expect((await drp("images", "list", "-o", "table")).stdout).toMatch(/rotated out by key list 2/);

  await must(drp("images", "sign", bundle, "--key", file("new.key"), "--out", bundle));
  await must(drp("images", "verify", bundle));
  await must(drp("images", "push", bundle));
  expect((await drp("images", "verify", "golden:1.0", "-o", "table")).stdout).toContain(
    "its signature counts today",
  );
});

test("careful people make the next list where there is no network, and publish it later", async () => {
  await must(keys("create", file("spare")));
  await must(keys("export", file("lists.json")));
  const offline = (...args: string[]) => runDrp(["images", "keys", ...args], {});
  const rotate = ["rotate", "--list", file("lists.json"), "--out", file("lists-next.json")];
  const add = ["--add", file("spare.pub"), "--expires", "2199-01-01"];
  const wrong = await offline(...rotate, ...add, "--sign-with", file("old.key"));
  expect(wrong.stderr).toContain("which list 2 does not have: the old list signs the new");
  await must(offline(...rotate, ...add, "--sign-with", file("new.key")));
  expect(await must(keys("publish", file("lists-next.json"), "-o", "table"))).toContain(
    "key list 3 counts now: images are signed by new, spare",
  );
  expect((await keys("list", "-o", "table")).stdout).toMatch(
    /new +[0-9a-f]{16} +never[\s\S]*spare +[0-9a-f]{16} +in \d+ d/,
  );
  await must(runDrp(["images", "verify", file("app.tar"), "--keys", file("lists-next.json")], {}));

  expect((await keys("retire", "nobody", "--sign-with", file("new.key"))).stderr).toContain(
    "drp: no key of the list is nobody; it has new, spare",
  );
  await must(keys("retire", "spare", "--sign-with", file("new.key")));
  expect((await keys("retire", "new", "--sign-with", file("new.key"))).stderr).toContain(
    "drp: the new list would trust nobody",
  );
});

test("a bundle with changed bytes is named chunk by chunk", async () => {
  const key = makeKey();
  const { bytes } = await makeBundle(smallImage(), key, "plain");
  const at = bytes.indexOf("the words of image");
  bytes[at] = 1;
  writeFileSync(file("bad.tar"), bytes);
  writeFileSync(file("its.pub"), key.publicKeyPem);
  const { code, stdout } = await drp("images", "verify", file("bad.tar"), "--key", file("its.pub"));
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    chunks: 4,
    problems: ["rootfs.img, chunk 0 at byte 0: it is not the one that was signed"],
  });
});

test("a floor is shown with its reason, and lowered for one", async () => {
  const floor = { imageName: "golden", release: 4, rolloutId: null, setAt: 1, setBy: "rollout r-1" };
  const reason = "rollout r-1 of golden:4.0 is done";
  await hub.store.commit([{ kind: "raise-release-floor", floor: { ...floor, reason } }]);
  expect((await drp("images", "floors", "list", "-o", "table")).stdout).toMatch(
    /golden +4 .*rollout r-1 of golden:4\.0 is done/,
  );
  const lowered = await drp(
    ...[
      "images",
      "floors",
      "lower",
      "golden",
      "--release",
      "2",
      "--reason",
      "v4 loses receipts",
      "-o",
      "table",
    ],
  );
  expect(lowered.stdout).toBe("golden may be rolled out from release 2 on\n");
});
