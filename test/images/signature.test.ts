import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { canonicalText } from "../../src/images/canonical.ts";
import { parseSigningKey, parseTrustedKey } from "../../src/images/keys.ts";
import { signManifest, verifyManifest } from "../../src/images/signature.ts";
import { makeKey, manifestOf, smallImage } from "./bundles.ts";

const key = makeKey();
const manifest = manifestOf(smallImage());

/** Signed by the trusted key, whatever it says. */
function signed(content: unknown, text = canonicalText(content)) {
  return { manifestText: text, signature: signManifest(text, key.privateKeyPem) };
}

test("canonicalText() is RFC 8785's: the example of its section 3.2.2", () => {
  const value = JSON.parse(
    '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
  );
  expect(canonicalText(value)).toBe(
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
});

describe("verifyManifest()", () => {
  test("gives the manifest that a trusted key signed", () => {
    expect(verifyManifest(signed(manifest), [makeKey(), key])).toEqual(manifest);
  });

  test("names the key that is not trusted", () => {
    expect(() => verifyManifest(signed(manifest), [makeKey()])).toThrow(
      expect.objectContaining({ code: "signature.rejected", message: expect.stringContaining(key.keyId) }),
    );
  });

  test("refuses a text of which one character was changed", () => {
    const { manifestText, signature } = signed(manifest);
    for (let at = 0; at < manifestText.length; at += 7) {
      const changed =
        manifestText.slice(0, at) + (manifestText[at] === "0" ? "1" : "0") + manifestText.slice(at + 1);
      expect(() => verifyManifest({ manifestText: changed, signature }, [key])).toThrow(
        expect.objectContaining({ code: "signature.rejected", message: expect.stringContaining(key.keyId) }),
      );
    }
  });

  test("refuses the signature of another trusted key under this one's name", () => {
    const other = makeKey();
    const { manifestText } = signed(manifest);
    const signature = { ...signManifest(manifestText, other.privateKeyPem), keyId: key.keyId };
    expect(() => verifyManifest({ manifestText, signature }, [key, other])).toThrow(
      expect.objectContaining({ code: "signature.rejected" }),
    );
  });

  test.each([
    ["blanks", JSON.stringify(manifest, null, 1)],
    ["another order of keys", JSON.stringify(manifest)],
    ["a key given twice", canonicalText(manifest).replace('"version":', '"version":"0.9","version":')],
  ])("refuses a signed text with %s: it is not canonical", (_, text) => {
    expect(() => verifyManifest(signed(undefined, text), [key])).toThrow(
      expect.objectContaining({ code: "bundle.malformed", message: expect.stringContaining("canonical") }),
    );
  });

  const [payload] = manifest.payloads;
  test.each([
    ["payloads[0].sizeBytes", { ...manifest, payloads: [{ ...payload, sizeBytes: 4097 }] }],
    [
      "payloads[0].chunks[1]",
      { ...manifest, payloads: [{ ...payload, chunks: [null, "../../etc/passwd", null, null] }] },
    ],
    ["payloads[0].name", { ...manifest, payloads: [{ ...payload, name: "../rootfs.img" }] }],
    ["payloads", { ...manifest, payloads: [payload, payload] }],
    ["kernelArguments[0]", { ...manifest, kernelArguments: ["quiet; reboot"] }],
    ["architecture", { ...manifest, architecture: "s390x" }],
    ["top level", { ...manifest, extra: 1 }],
    ["top level", []],
    ["4 chunks", { ...manifest, payloads: [{ ...payload, chunks: [null] }] }],
    ["4 chunks", { ...manifest, payloads: [{ ...payload, chunks: Array(5).fill(null) }] }],
  ])("names what is wrong: %s", (field, content) => {
    expect(() => verifyManifest(signed(content), [key])).toThrow(
      expect.objectContaining({ code: "bundle.malformed", message: expect.stringContaining(field) }),
    );
  });

  test("tells a newer format from a malformed one", () => {
    expect(() => verifyManifest(signed({ ...manifest, formatVersion: 2 }), [key])).toThrow(
      expect.objectContaining({ code: "version.unsupported" }),
    );
  });

  test("refuses a signed text that is no JSON", () => {
    expect(() => verifyManifest(signed(undefined, "{"), [key])).toThrow(
      expect.objectContaining({ code: "bundle.malformed" }),
    );
  });
});

describe("keys", () => {
  test("a key has one id, found from either half", () => {
    expect(parseSigningKey(key.privateKeyPem).keyId).toBe(parseTrustedKey(key.publicKeyPem).keyId);
  });

  const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
  test.each([
    ["nothing", "", "not a public key"],
    ["a private key", key.privateKeyPem, "private key"],
    ["an RSA key", rsa.publicKey.export({ type: "spki", format: "pem" }).toString(), "rsa"],
  ])("parseTrustedKey() refuses %s", (_, pem, words) => {
    expect(() => parseTrustedKey(pem)).toThrow(
      expect.objectContaining({ code: "key.invalid", message: expect.stringContaining(words) }),
    );
  });

  test.each([
    ["nothing", "", "not a private key"],
    ["a public key", key.publicKeyPem, "not a private key"],
    ["an RSA key", rsa.privateKey.export({ type: "pkcs8", format: "pem" }).toString(), "rsa"],
  ])("parseSigningKey() refuses %s", (_, pem, words) => {
    expect(() => parseSigningKey(pem)).toThrow(
      expect.objectContaining({ code: "key.invalid", message: expect.stringContaining(words) }),
    );
  });
});
