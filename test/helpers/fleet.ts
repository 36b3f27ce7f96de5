/** A fleet's authority as the hub has it, and certificates of sites that joined. */
import { mkdirSync } from "node:fs";
import { createSiteKey } from "../../src/agent/site/io/join-fleet.ts";
import { type CertificateAuthority, openCertificateAuthority } from "../../src/daemon/io/ca.ts";

export interface Fleet {
  readonly ca: CertificateAuthority;
  readonly caPem: string;
  readonly hubTls: { readonly key: string; readonly cert: string };
  readonly site: SiteIdentity;
  issue(siteId: string): Promise<SiteIdentity>;
}

interface SiteIdentity {
  readonly tls: { readonly key: string; readonly cert: string };
  readonly keyFingerprint: string;
}

export async function openFleet(dir: string): Promise<Fleet> {
  mkdirSync(dir, { recursive: true });
  const ca = await openCertificateAuthority(dir, ["localhost", "127.0.0.1"], Date.now());
  const issue = async (siteId: string): Promise<SiteIdentity> => {
    const { keyPem, certificateRequestPem } = await createSiteKey(["127.0.0.2"]);
    const issued = await ca.issueSiteCertificate({ certificateRequestPem, siteId, now: Date.now() });
    return { tls: { key: keyPem, cert: issued.certificatePem }, keyFingerprint: issued.keyFingerprint };
  };
  return { ca, caPem: ca.caPem, hubTls: ca.serverTls, site: await issue("s-1"), issue };
}
