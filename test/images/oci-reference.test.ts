import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findCredentials, followRedirect, parseChallenge, tokenUrl } from "../../src/images/oci-auth.ts";
import { chooseManifest, parseOciDocument } from "../../src/images/oci-documents.ts";
import { isLoopbackHost, parseOciReference } from "../../src/images/oci-reference.ts";

const DIGEST = `sha256:${"0a".repeat(32)}`;

describe("parseOciReference()", () => {
  test.each([
    ["oci://registry.example/app:v1", "registry.example", "app", "v1"],
    ["oci://registry.example:5000/team/app__x:1.0_RC-1", "registry.example:5000", "team/app__x", "1.0_RC-1"],
    ["oci://127.0.0.1:5000/a/b/c.d:latest", "127.0.0.1:5000", "a/b/c.d", "latest"],
    ["oci://[::1]:5000/app:v1", "[::1]:5000", "app", "v1"],
    [`oci://r.example/app@${DIGEST}`, "r.example", "app", DIGEST],
    [`oci://r.example/app:v1@${DIGEST}`, "r.example", "app", DIGEST],
  ])("reads %s", (text, host, repository, target) => {
    expect(parseOciReference(text)).toMatchObject({ host, repository, target });
  });

  test.each([
    ["docker://r.example/app:v1", "does not begin with oci://"],
    ["oci://app:v1", "has no host"],
    ["oci:///app:v1", "has no host"],
    ["oci://user:word@r.example/app:v1", "has no host"],
    ["oci://r.example/app", "neither a tag nor a digest"],
    ["oci://r.example/App:v1", "repository's name"],
    ["oci://r.example/../etc:v1", "repository's name"],
    ["oci://r.example/a//b:v1", "repository's name"],
    ["oci://r.example/app:v1/../../x", "has a tag"],
    ["oci://r.example/app:", "has a tag"],
    ["oci://r.example/app:v1?x=1", "has a tag"],
    ["oci://r.example/app@sha256:abc", "has no sha256 digest"],
    [`oci://r.example/app@${DIGEST}@${DIGEST}`, "has no sha256 digest"],
  ])("refuses %s", (text, words) => {
    expect(() => parseOciReference(text)).toThrow(words);
  });

  test("never lets a path leave the repository, whatever it is given", () => {
    fc.assert(
      fc.property(fc.string(), text => {
        try {
          const { host, repository, target } = parseOciReference(`oci://${text}`);
          const url = new URL(`https://${host}/v2/${repository}/manifests/${target}`);
          expect(url.pathname).toBe(`/v2/${repository}/manifests/${target}`);
          expect(url.username + url.search + url.hash).toBe("");
        } catch (error) {
          expect(error).toMatchObject({ code: "request.invalid" });
        }
      }),
    );
  });
});

test("isLoopbackHost() knows this host alone", () => {
  for (const host of ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:80", "[::1]:5000"])
    expect(isLoopbackHost(host), host).toBe(true);
  for (const host of ["localhost.example", "127.0.0.1.example", "128.0.0.1", "10.0.0.1:5000", "[::2]"])
    expect(isLoopbackHost(host), host).toBe(false);
});

describe("what a registry is told", () => {
  const reference = parseOciReference("oci://r.example/team/app:v1");

  test("parseChallenge() reads what registries ask", () => {
    expect(parseChallenge('Basic realm="x"')).toEqual({ kind: "basic" });
    expect(
      parseChallenge('Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull"'),
    ).toEqual({
      kind: "bearer",
      realm: "https://auth.example/token",
      service: "r",
      scope: "repository:a:pull",
    });
    expect(parseChallenge("Negotiate")).toBeUndefined();
    expect(parseChallenge("")).toBeUndefined();
  });

  test("tokenUrl() asks for pulling alone, and never in the clear", () => {
    const ask = (realm: string, plain = false) =>
      tokenUrl({ kind: "bearer", realm, service: "r", scope: undefined }, reference, plain)?.href;
    expect(ask("https://auth.example/token?a=b")).toBe(
      "https://auth.example/token?a=b&service=r&scope=repository%3Ateam%2Fapp%3Apull",
    );
    expect(ask("http://auth.example/token")).toBeUndefined();
    expect(ask("http://auth.example/token", true)).toContain("http://auth.example/token");
    expect(ask("http://127.0.0.1:1/token")).toContain("http://127.0.0.1:1/");
    expect(ask("file:///etc/passwd")).toBeUndefined();
    expect(ask("https://me:word@auth.example/")).toBeUndefined();
    expect(ask("token")).toBeUndefined();
  });

  test("followRedirect() keeps what identifies us on the origin that asked, and stays on https", () => {
    const from = new URL("https://r.example/v2/app/blobs/x");
    expect(followRedirect(from, "/other", false)).toMatchObject({ keepsAuthorization: true });
    expect(followRedirect(from, "https://store.example/x", false)).toMatchObject({
      keepsAuthorization: false,
    });
    expect(followRedirect(from, "https://r.example:444/x", false)).toMatchObject({
      keepsAuthorization: false,
    });
    for (const location of [
      "http://r.example/x",
      "http://127.0.0.1/x",
      "file:///etc/passwd",
      "https://",
      "",
    ]) {
      if (location === "") continue;
      expect(() => followRedirect(from, location, true), location).toThrow("redirects to");
    }
  });

  test("findCredentials() gives a host its own alone", () => {
    const auth = Buffer.from("me:pass:word").toString("base64");
    const text = JSON.stringify({
      auths: { "r.example": { auth }, "https://old.example/v1/": { auth }, "r.example:5000": {} },
    });
    const found = { username: "me", password: "pass:word" };
    expect(findCredentials(text, "r.example", "f")).toEqual(found);
    expect(findCredentials(text, "old.example", "f")).toEqual(found);
    for (const host of ["r.example:5000", "example", "other.example"]) {
      expect(findCredentials(text, host, "f")).toBeUndefined();
    }
    for (const bad of [
      "secret",
      '{"auths":{"r.example":{"auth":7}}}',
      `{"auths":{"r.example":{"auth":"c2VjcmV0"}}}`,
    ]) {
      expect(() => findCredentials(bad, "r.example", "f")).toThrow(/^f is not an auth file/);
    }
  });
});

describe("chooseManifest()", () => {
  const descriptor = (os: string, architecture: string, byte: string) => ({
    digest: `sha256:${byte.repeat(64)}` as const,
    size: 1,
    platform: { os, architecture },
  });
  const index = [
    descriptor("linux", "amd64", "a"),
    descriptor("linux", "arm64", "b"),
    descriptor("unknown", "unknown", "c"),
  ];

  test("takes the architecture's, and passes over attestations", () => {
    expect(chooseManifest(index, "arm64", "x").digest).toContain("bbb");
  });
  test("says what there is", () => {
    expect(() =>
      chooseManifest([descriptor("linux", "s390x", "a"), descriptor("windows", "amd64", "b")], "amd64", "x"),
    ).toThrow("x has nothing for linux/amd64: linux/s390x, windows/amd64");
    expect(() => chooseManifest([], "amd64", "x")).toThrow("it is empty");
  });
  test("does not guess between two", () => {
    const twice = [descriptor("linux", "amd64", "a"), descriptor("linux", "amd64", "b")];
    expect(() => chooseManifest(twice, "amd64", "x")).toThrow("holds 2 images that may be meant");
    expect(chooseManifest([...index, ...index], "amd64", "x").digest).toContain("aaa");
  });
});

describe("parseOciDocument()", () => {
  const layer = (mediaType: string) =>
    JSON.stringify({
      schemaVersion: 2,
      config: { digest: DIGEST, size: 2 },
      layers: [{ mediaType, digest: DIGEST, size: 3 }],
    });

  test.each([
    ["application/vnd.oci.image.layer.v1.tar+zstd", "zstd"],
    ["application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"],
    ["application/vnd.oci.image.layer.v1.tar", null],
  ])("knows layers of %s", (mediaType, compression) => {
    expect(parseOciDocument(layer(mediaType), "x")).toMatchObject({
      kind: "manifest",
      layers: [{ compression }],
    });
  });

  test.each([
    [
      layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
      /layer 0 of x is kept somewhere else/,
    ],
    [layer("application/vnd.oci.image.layer.nondistributable.v1.tar"), /is kept somewhere else/],
    [layer("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), /which is not known/],
    [layer(""), /which is not known/],
    ["{", /x is not JSON/],
    ["[]", /x: top level/],
    ['{"schemaVersion":1,"layers":[]}', /x: schemaVersion/],
    ['{"schemaVersion":2,"manifests":[{"digest":"sha512:00","size":1}]}', /only sha256/],
    ['{"schemaVersion":2,"manifests":[{"digest":"sha256:../../etc/passwd","size":1}]}', /only sha256/],
    [layer("x").replace('"size":3', '"size":-1'), /layers\[0\]\.size/],
  ])("refuses %s", (text, words) => {
    expect(() => parseOciDocument(text, "x")).toThrow(words);
  });
});
