import { createHash, randomUUID, sign } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { FileTree } from "../../src/images/file-tree.ts";
import { ContentSpool } from "../../src/images/io/content-spool.ts";
import { layOciImage, type OciRequest } from "../../src/images/io/oci-source.ts";
import { createTestCertificate } from "../helpers/test-certificate.ts";
import { DEMANDING_LAYERS, describeTree, HOST_ARCHITECTURE, OciTools } from "./oci-peers.ts";

let dir: string;
let tools: OciTools | undefined;
let missing = "";
let open: { host: string; stop: () => Promise<void> } | undefined;
let expected: readonly string[];
let serial = 0;
const afterwards: (() => Promise<void>)[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-pull-"));
  try {
    tools = await OciTools.fetch(dir);
  } catch (error) {
    missing = String(error);
    return;
  }
  const layout = await tools.makeLayout("demanding", DEMANDING_LAYERS);
  expected = (await lay(layout)).lines;
  open = await tools.serveRegistry();
  await push("team/app:v1");
}, 300_000);
afterAll(async () => {
  await open?.stop();
  await rm(dir, { recursive: true });
});
beforeEach(context => {
  if (tools === undefined) context.skip(missing);
});
afterEach(async () => {
  for (const step of afterwards.splice(0)) await step();
});

const host = () => open?.host ?? "";

async function push(to: string, ...flags: string[]): Promise<void> {
  await tools?.run(
    "skopeo",
    "copy",
    "--dest-tls-verify=false",
    ...flags,
    "oci:demanding:v1",
    `docker://${host()}/${to}`,
  );
}

async function lay(
  source: string,
  more: Partial<OciRequest> = {},
): Promise<{ lines: string[]; digest: string }> {
  const tree = new FileTree();
  await using spool = await ContentSpool.create(join(dir, `spool-${serial++}`));
  const authFile = join(dir, "no-logins.json");
  await writeFile(authFile, "{}");
  const { digest = "" } = await layOciImage(
    { source, architecture: HOST_ARCHITECTURE, authFile, ...more },
    tree,
    spool,
  );
  return { lines: await describeTree(tree), digest };
}

/** A server between the client and the registry, that may answer in its stead. */
async function serve(answer: (from: IncomingMessage, to: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(answer);
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  afterwards.push(async () => {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function forward(
  from: IncomingMessage,
  to: ServerResponse,
  change = (bytes: Buffer, _at: number) => bytes,
): void {
  const passed = request(
    `http://${host()}${from.url}`,
    { headers: { ...from.headers, host: host() } },
    answer => {
      to.writeHead(answer.statusCode ?? 0, answer.headers);
      let at = 0;
      answer.on("data", (bytes: Buffer) => {
        to.write(change(bytes, at));
        at += bytes.length;
      });
      answer.on("end", () => to.end());
    },
  );
  passed.end();
}

test("layOciImage() pulls from a registry by tag and by digest what was pushed there", async () => {
  const byTag = await lay(`oci://${host()}/team/app:v1`);
  expect(byTag.lines).toEqual(expected);
  const byDigest = await lay(`oci://${host()}/team/app@${byTag.digest}`);
  expect(byDigest).toEqual(byTag);
});

test("layOciImage() pulls Docker's manifests and zstd layers", async () => {
  await push("team/docker:v1", "--format=v2s2");
  expect((await lay(`oci://${host()}/team/docker:v1`)).lines).toEqual(expected);
  await push("team/zstd:v1", "--dest-compress-format=zstd");
  expect((await lay(`oci://${host()}/team/zstd:v1`)).lines).toEqual(expected);
});

test("layOciImage() takes the manifest for the architecture out of an index, and says what else there is", async () => {
  const { digest } = await lay(`oci://${host()}/team/app:v1`);
  const manifest = await (
    await fetch(`http://${host()}/v2/team/app/manifests/${digest}`, {
      headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
    })
  ).text();
  const descriptor = {
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest,
    size: Buffer.byteLength(manifest),
  };
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const index = (architecture: string) =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      manifests: [{ ...descriptor, platform: { os: "linux", architecture } }],
    });
  const put = async (tag: string, body: string) => {
    const url = `http://${host()}/v2/team/app/manifests/${tag}`;
    expect((await fetch(url, { method: "PUT", body, headers: { "content-type": mediaType } })).status).toBe(
      201,
    );
  };
  await put("multi", index(HOST_ARCHITECTURE));
  expect(await lay(`oci://${host()}/team/app:multi`)).toEqual({ lines: expected, digest });
  await put("other", index("s390x"));
  await expect(lay(`oci://${host()}/team/app:other`)).rejects.toMatchObject({
    code: "image.wrong-architecture",
    message: expect.stringContaining("linux/s390x"),
  });
});

test("layOciImage() says what is not there", async () => {
  await expect(lay(`oci://${host()}/team/app:v9`)).rejects.toMatchObject({
    code: "registry.failed",
    message: expect.stringContaining("answers 404 (/v2/team/app/manifests/v9)"),
  });
  await expect(lay("oci://127.0.0.1:1/team/app:v1")).rejects.toMatchObject({
    code: "registry.failed",
    message: "cannot fetch /v2/team/app/manifests/v1 from 127.0.0.1:1",
  });
});

test("layOciImage() takes a broken blob up where it broke", async () => {
  const ranges: (string | undefined)[] = [];
  const proxy = await serve((from, to) => {
    if (from.url?.includes("/blobs/") !== true) return forward(from, to);
    ranges.push(from.headers.range);
    if (from.headers.range !== undefined) return forward(from, to);
    // The first answer for each blob breaks in its middle.
    forward(from, to, bytes => {
      to.write(bytes.subarray(0, bytes.length >> 1), () => to.destroy());
      return Buffer.alloc(0);
    });
  });
  expect((await lay(`oci://${proxy}/team/app:v1`)).lines).toEqual(expected);
  expect(ranges.filter(range => range !== undefined).length).toBeGreaterThan(0);
});

test("layOciImage() ends when a blob breaks again and again without a byte", async () => {
  let attempts = 0;
  const proxy = await serve((from, to) => {
    if (from.url?.includes("/blobs/") !== true) return forward(from, to);
    attempts++;
    to.destroy();
  });
  await expect(lay(`oci://${proxy}/team/app:v1`)).rejects.toMatchObject({ code: "registry.failed" });
  expect(attempts).toBe(5);
});

test("layOciImage() refuses a registry that flips a bit of a blob", async () => {
  const change = (bytes: Buffer, at: number) => {
    // Of the time in gzip's header, which no decompressor looks at.
    if (at === 0) bytes[4] = (bytes[4] ?? 0) ^ 1;
    return bytes;
  };
  const proxy = await serve((from, to) =>
    from.url?.includes("/blobs/") === true ? forward(from, to, change) : forward(from, to),
  );
  await expect(lay(`oci://${proxy}/team/app:v1`)).rejects.toMatchObject({
    code: "input.unreadable",
    message: expect.stringContaining("has other bytes than its digest says"),
  });
});

test("layOciImage() refuses a registry that gives another manifest than the digest names", async () => {
  const proxy = await serve((_, to) => to.end('{"schemaVersion":2}'));
  const digest = `sha256:${createHash("sha256").update("x").digest("hex")}`;
  await expect(lay(`oci://${proxy}/team/app@${digest}`)).rejects.toMatchObject({
    code: "input.unreadable",
    message: expect.stringContaining(`for ${digest}`),
  });
});

test("layOciImage() ends an endless manifest, and an endless redirect", async () => {
  function* blanks() {
    for (;;) yield Buffer.alloc(65_536, " ");
  }
  const endless = await serve((_, to) => {
    const source = Readable.from(blanks());
    to.on("close", () => source.destroy());
    source.pipe(to);
  });
  await expect(lay(`oci://${endless}/team/app:v1`)).rejects.toMatchObject({ code: "registry.failed" });
  const circle = await serve((from, to) => to.writeHead(307, { location: from.url }).end());
  await expect(lay(`oci://${circle}/team/app:v1`)).rejects.toMatchObject({
    message: expect.stringContaining("redirects without end"),
  });
});

const USERS = "me:$2y$04$abcdefghijklmnopqrstuuB/GrfUOm5dtrEiT8lcouu5XB5ftbWLi";

async function writeLogin(registryHost: string, login: string): Promise<string> {
  const path = join(dir, `${randomUUID()}.json`);
  await writeFile(
    path,
    JSON.stringify({ auths: { [registryHost]: { auth: Buffer.from(login).toString("base64") } } }),
  );
  return path;
}

test("layOciImage() signs in with name and password, and tells them to nobody whom a redirect names", async () => {
  const users = join(dir, "htpasswd");
  await writeFile(users, USERS);
  const guarded = await tools?.serveRegistry(`auth: {htpasswd: {realm: here, path: ${users}}}`);
  if (guarded === undefined) return;
  afterwards.push(guarded.stop);
  await tools?.run(
    "skopeo",
    "copy",
    "--dest-tls-verify=false",
    "--dest-creds=me:word",
    "oci:demanding:v1",
    `docker://${guarded.host}/a:v1`,
  );
  await expect(lay(`oci://${guarded.host}/a:v1`)).rejects.toMatchObject({
    code: "registry.failed",
    message: expect.stringContaining("wants a name and a password"),
  });
  const wrong = await writeLogin(guarded.host, "me:other");
  await expect(lay(`oci://${guarded.host}/a:v1`, { authFile: wrong })).rejects.toMatchObject({
    message: expect.stringContaining("answers 401"),
  });
  const login = await writeLogin(guarded.host, "me:word");
  expect((await lay(`oci://${guarded.host}/a:v1`, { authFile: login })).lines).toEqual(expected);

  const heard: (string | undefined)[] = [];
  const store = await serve((from, to) => {
    heard.push(from.headers.authorization);
    forward(Object.assign(from, { url: from.url?.replace("/v2/a/", "/v2/team/app/") }), to);
  });
  const redirecting = await serve((from, to) => {
    if (from.headers.authorization === undefined)
      to.writeHead(401, { "www-authenticate": "Basic realm=x" }).end();
    else if (from.url?.includes("/blobs/") === true)
      to.writeHead(307, { location: `http://${store}${from.url}` }).end();
    else forward(Object.assign(from, { url: from.url?.replace("/v2/a/", "/v2/team/app/") }), to);
  });
  const itsLogin = await writeLogin(redirecting, "me:word");
  expect((await lay(`oci://${redirecting}/a:v1`, { authFile: itsLogin })).lines).toEqual(expected);
  expect(heard.length).toBeGreaterThan(0);
  expect(new Set(heard)).toEqual(new Set([undefined]));
});

test("layOciImage() answers no challenge of a host that a redirect names: neither asks it for a token nor logs in", async () => {
  for (const scheme of ["Bearer", "Basic"]) {
    const heard: (string | undefined)[] = [];
    const thief = await serve((from, to) => {
      heard.push(`${from.url} ${from.headers.authorization}`);
      const challenge = `${scheme} realm="http://${from.headers.host}/token"`;
      to.writeHead(401, { "www-authenticate": challenge }).end();
    });
    const redirecting = await serve((from, to) => {
      to.writeHead(307, { location: `http://${thief}${from.url}` }).end();
    });
    const login = await writeLogin(redirecting, "me:word");
    await expect(lay(`oci://${redirecting}/a:v1`, { authFile: login })).rejects.toMatchObject({
      code: "registry.failed",
      message: `${redirecting} redirects to ${thief}, which answers 401 (/v2/a/manifests/v1)`,
    });
    expect(heard).toEqual(["/v2/a/manifests/v1 undefined"]);
  }
});

test("layOciImage() fetches a token where the registry says, and shows it to the registry alone", async () => {
  const { key, cert } = await createTestCertificate();
  const certificatePath = join(dir, "token.pem");
  await writeFile(certificatePath, cert);
  const asked: { authorization: string | undefined; url: string | undefined }[] = [];
  const tokens = await serve((from, to) => {
    asked.push({ authorization: from.headers.authorization, url: from.url });
    to.end(JSON.stringify({ token: makeToken(key, cert, new URL(from.url ?? "", "http://x")) }));
  });
  const guarded = await tools?.serveRegistry(
    `auth: {token: {realm: "http://${tokens}/token", service: here, issuer: me, rootcertbundle: ${certificatePath}}}`,
  );
  if (guarded === undefined) return;
  afterwards.push(guarded.stop);
  await tools?.run(
    "skopeo",
    "copy",
    "--dest-tls-verify=false",
    "oci:demanding:v1",
    `docker://${guarded.host}/a:v1`,
  );
  asked.length = 0;
  expect((await lay(`oci://${guarded.host}/a:v1`)).lines).toEqual(expected);
  expect(asked).toEqual([
    { authorization: undefined, url: "/token?service=here&scope=repository%3Aa%3Apull" },
  ]);
});

/** A token as docker-registry takes it: a JWT signed by a key whose certificate it trusts. */
function makeToken(key: string, cert: string, url: URL): string {
  const der = cert.replace(/-----[A-Z ]+-----|\s/g, "");
  const [type = "", name = "", actions = ""] = (url.searchParams.get("scope") ?? "").split(":");
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    ...{ iss: "me", sub: "", aud: "here", exp: now + 300, nbf: now - 10, iat: now, jti: randomUUID() },
    access: type === "" ? [] : [{ type, name, actions: actions.split(",") }],
  };
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ typ: "JWT", alg: "ES256", x5c: [der] })}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}
