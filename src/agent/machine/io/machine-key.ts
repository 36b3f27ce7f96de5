/** The machine's own key, and the certificate that lets TLS carry it. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { PemConverter, X509CertificateGenerator } from "@peculiar/x509";

export interface MachineKey {
  readonly privateKeyPem: string;
  readonly certificatePem: string;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A P-256 key and a certificate signed by itself: the site knows the key from the registration on, and nothing else. */
export async function createMachineKey(): Promise<MachineKey> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: "01",
      name: "CN=drp machine",
      // The clock may be years off, and the dates mean nothing here: "no expiry" of RFC 5280 §4.1.2.5.
      notBefore: new Date(0),
      notAfter: new Date("9999-12-31T23:59:59Z"),
      signingAlgorithm: ALGORITHM,
      keys,
    },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    privateKeyPem: `${PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
    certificatePem: `${certificate.toString("pem")}\n`,
  };
}
