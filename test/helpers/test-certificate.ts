/** A certificate authority and a server certificate for 127.0.0.1, made anew for a test. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const ALWAYS = { notBefore: new Date(0), notAfter: new Date("2099-01-01") };

export async function createTestCertificate(
  address = "127.0.0.1",
): Promise<{ caPem: string; key: string; cert: string }> {
  const caKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const ca = await X509CertificateGenerator.createSelfSigned(
    {
      ...ALWAYS,
      serialNumber: "01",
      name: "CN=test CA",
      signingAlgorithm: ALGORITHM,
      keys: caKeys,
      extensions: [new BasicConstraintsExtension(true, 0, true)],
    },
    webcrypto,
  );
  const serverKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const server = await X509CertificateGenerator.create(
    {
      ...ALWAYS,
      serialNumber: "02",
      subject: "CN=test server",
      issuer: ca.subject,
      publicKey: serverKeys.publicKey,
      signingKey: caKeys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: address }])],
    },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", serverKeys.privateKey);
  return {
    caPem: ca.toString("pem"),
    key: PemConverter.encode(pkcs8, "PRIVATE KEY"),
    cert: server.toString("pem"),
  };
}
