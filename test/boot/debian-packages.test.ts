import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { debianDependencies, fetchDebianPackages } from "../../boot/debian-packages.ts";

const hasApt = existsSync("/usr/bin/apt-get");
if (!hasApt) console.warn("tests of Debian packages skipped: this host has no apt-get");

describe.skipIf(!hasApt)("fetchDebianPackages()", () => {
  let cache = "";
  beforeAll(async () => {
    cache = await mkdtemp(path.join(tmpdir(), "drp-packages-"));
  });
  afterAll(() => rm(cache, { recursive: true, force: true }));

  it("unpacks a package once, into a folder named after its version", async () => {
    const [first] = await fetchDebianPackages(["dosfstools"], cache, "nothing");
    expect(existsSync(path.join(first?.root ?? "", "sbin/mkfs.fat"))).toBe(true);
    expect(path.basename(first?.root ?? "")).toContain(`dosfstools_${first?.version}`);
    const unpackedAt = (await stat(first?.root ?? "")).ctimeMs;
    const [second] = await fetchDebianPackages(["dosfstools"], cache, "nothing");
    expect(second).toEqual(first);
    expect((await stat(second?.root ?? "")).ctimeMs).toBe(unpackedAt);
  });

  it("fetches at once what others fetch at the same time, package lists too", async () => {
    const fetchOne = () => fetchDebianPackages(["sysfsutils"], cache, "nothing", "arm64");
    const [first, ...others] = await Promise.all([fetchOne(), fetchOne(), fetchOne()]);
    expect(others).toEqual([first, first]);
    expect(existsSync(path.join(first?.[0]?.root ?? "", "usr/bin/systool"))).toBe(true);
    expect((await readdir(cache)).filter(name => name.startsWith("."))).toEqual([]);
  }, 120_000);

  it("names the package that cannot be had and what is lost, and leaves nothing half done", async () => {
    const before = await readdir(cache);
    await expect(fetchDebianPackages(["dosfstools", "no-such-drp"], cache, "no toast")).rejects.toMatchObject(
      {
        code: "tool.missing",
        message: "Debian package no-such-drp could not be fetched: no toast",
      },
    );
    expect(await readdir(cache)).toEqual(before);
  });
});

describe.skipIf(!hasApt)("debianDependencies()", () => {
  it("finds the kernel behind its metapackage", async () => {
    expect(await debianDependencies("linux-image-amd64", /^linux-image-\d/, "nothing")).toEqual([
      expect.stringMatching(/^linux-image-\d+\.\d+.*-amd64$/),
    ]);
  });

  it("names the package that is not known", async () => {
    await expect(debianDependencies("no-such-drp", /^lib/, "no toast")).rejects.toMatchObject({
      code: "tool.missing",
      message: "Debian package no-such-drp could not be fetched: no toast",
    });
  });
});
