/**
 * The hub's own certificate authority: made at the first start, it signs the certificate that the API and the local
 * site's machine channel show, and those of the sites that join. Clients trust `ca.pem` and nothing else, so no public CA
 * and no DNS name is needed.
 */
import "reflect-metadata";
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from "node:crypto";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { keyFingerprint } from "../../agent/key-fingerprint.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { readFileIfPresent, writeFileDurably } from "./secret-file.ts";

const DAY_MS = 86_400_000;
const CA_LIFE_MS = 3_653 * DAY_MS;
/** What browsers and Apple's TLS accept at most is 825 days. */
const SERVER_LIFE_MS = 397 * DAY_MS;
/** Sites that join get theirs for a year. */
const SITE_LIFE_MS = 365 * DAY_MS;
/** Renewed at the first start within this time before the end. */
const RENEW_BEFORE_MS = 60 * DAY_MS;
/** Certificates begin a little in the past: a machine's clock may be behind ours. */
const BACKDATE_MS = DAY_MS;

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface CertificateAuthority {
  /** What clients pin. */
  readonly caPem: string;
  readonly serverTls: { readonly key: string; readonly cert: string };
  /** SHA-256 of the authority's key (SPKI), lower-case hexadecimal: what a join token carries. */
  readonly fingerprint: string;
  /** @throws {DrpError} request.invalid naming what the request lacks or may not have */
  issueSiteCertificate(request: SiteCertificateRequest): Promise<SiteCertificate>;
}

export interface SiteCertificateRequest {
  /** PKCS #10 with the addresses and names under which machines reach the site as subject alternative names. */
  readonly certificateRequestPem: string;
  readonly siteId: string;
  readonly now: EpochMs;
}

export interface SiteCertificate {
  readonly certificatePem: string;
  /** SHA-256 of the site key's SPKI, lower-case hexadecimal. */
  readonly keyFingerprint: string;
}

/**
 * Reads the authority and the server's certificate, and makes what is missing, ends soon or lacks one of `names`.
 *
 * @param dir holds ca.key (0600), ca.pem (0644), server.key (0600) and server.pem
 * @param names DNS names and IP addresses under which clients reach this host
 * @throws {DrpError} data.unwritable when what is there cannot be read as keys and certificates
 */
export async function openCertificateAuthority(
  dir: string,
  names: readonly string[],
  now: EpochMs,
): Promise<CertificateAuthority> {
  const ca = await openOrMakeCa(dir, now);
  const serverTls = readServer(dir, ca, names, now) ?? (await issueServer(dir, ca, names, now));
  return {
    caPem: ca.certificatePem,
    serverTls,
    fingerprint: keyFingerprint(createPublicKey(ca.certificatePem)),
    issueSiteCertificate: request => issueSite(ca, names, request),
  };
}

interface Ca {
  readonly certificatePem: string;
  readonly keyPem: string;
}

async function openOrMakeCa(dir: string, now: EpochMs): Promise<Ca> {
  const keyPem = readFileIfPresent(join(dir, "ca.key"));
  const certificatePem = readFileIfPresent(join(dir, "ca.pem"));
  // The certificate is written last: without it, nobody can have pinned this key.
  if (certificatePem === undefined) return makeCa(dir, now);
  if (keyPem === undefined || !belongTogether(certificatePem, keyPem)) {
    throw new DrpError("data.unwritable", `${join(dir, "ca.key")} does not belong to ca.pem`, {
      advice:
        "Restore both from a backup. Removing both makes a new authority, which machines, browsers and CI then have to trust anew.",
    });
  }
  return { certificatePem, keyPem };
}

function belongTogether(certificatePem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

async function makeCa(dir: string, now: EpochMs): Promise<Ca> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: mintSerial(),
      // The random part keeps two fleets' authorities apart in one browser.
      name: `CN=drp CA ${randomBytes(4).toString("hex")}`,
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now + CA_LIFE_MS),
      keys,
      signingAlgorithm: P256,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    },
    webcrypto,
  );
  const ca = { certificatePem: `${certificate.toString("pem")}\n`, keyPem: await exportKey(keys.privateKey) };
  writeFileDurably(join(dir, "ca.key"), ca.keyPem, 0o600);
  writeFileDurably(join(dir, "ca.pem"), ca.certificatePem, 0o644);
  return ca;
}

function readServer(dir: string, ca: Ca, names: readonly string[], now: EpochMs) {
  const key = readFileIfPresent(join(dir, "server.key"));
  const cert = readFileIfPresent(join(dir, "server.pem"));
  if (key === undefined || cert === undefined || !belongTogether(cert, key)) return undefined;
  const certificate = new X509Certificate(cert);
  const authority = new X509Certificate(ca.certificatePem);
  const good =
    certificate.verify(authority.publicKey) &&
    certificate.validToDate.getTime() - RENEW_BEFORE_MS > now &&
    names.every(name => holdsName(certificate, name));
  return good ? { key, cert } : undefined;
}

function holdsName(certificate: X509Certificate, name: string): boolean {
  return (isIpAddress(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined;
}

async function issueServer(dir: string, ca: Ca, names: readonly string[], now: EpochMs) {
  const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const cert = await issue(ca, {
    subject: "CN=drp",
    publicKey: keys.publicKey,
    usages: [x509.ExtendedKeyUsage.serverAuth],
    names: names.map(name => ({ type: isIpAddress(name) ? "ip" : "dns", value: name }) as const),
    now,
    lifeMs: SERVER_LIFE_MS,
  });
  const tls = { key: await exportKey(keys.privateKey), cert };
  writeFileDurably(join(dir, "server.key"), tls.key, 0o600);
  writeFileDurably(join(dir, "server.pem"), tls.cert, 0o644);
  return tls;
}

/** A site is a server to its machines and a client of the hub. */
async function issueSite(
  ca: Ca,
  ownNames: readonly string[],
  { certificateRequestPem, siteId, now }: SiteCertificateRequest,
): Promise<SiteCertificate> {
  const request = await readRequest(certificateRequestPem);
  const certificatePem = await issue(ca, {
    subject: `CN=${siteId}`,
    publicKey: await request.publicKey.export(webcrypto),
    usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
    names: siteNames(request),
    now,
    lifeMs: SITE_LIFE_MS,
  });
  // Asked of the finished certificate: it knows wildcards, letter case and how addresses may be written.
  const certificate = new X509Certificate(certificatePem);
  const taken = ownNames.find(name => holdsName(certificate, name));
  if (taken !== undefined) {
    throw badRequest(`${taken} is the hub's own name`, "Give the site an address of its own.");
  }
  return { certificatePem, keyFingerprint: keyFingerprint(createPublicKey(certificatePem)) };
}

/** Whoever asks must hold the key: the request is signed with it. */
async function readRequest(pem: string): Promise<x509.Pkcs10CertificateRequest> {
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    if (await request.verify(webcrypto)) return request;
  } catch (cause) {
    throw badRequest("it cannot be read as PKCS #10", "Join with `drp site join`.", cause);
  }
  throw badRequest("it is not signed by its own key", "Join with `drp site join`.");
}

/** RFC 5280 §4.2.1.6 */
const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";

type SubjectName = { readonly type: "dns" | "ip"; readonly value: string };

function siteNames(request: x509.Pkcs10CertificateRequest): SubjectName[] {
  const extension = request.getExtension(SUBJECT_ALTERNATIVE_NAME);
  const items = extension instanceof x509.SubjectAlternativeNameExtension ? extension.names.items : [];
  const names = items.map(({ type, value }) => {
    if (type === "dns" || type === "ip") return { type, value };
    throw badRequest(`a site has no name of type ${type}`, "Join with `drp site join`.");
  });
  if (names.length > 0) return names;
  throw badRequest("it names no address where machines reach the site", "Join with `drp site join`.");
}

function badRequest(reason: string, advice: string, cause?: unknown): DrpError {
  return new DrpError("request.invalid", `the site's certificate request is refused: ${reason}`, {
    advice,
    cause,
  });
}

interface NewCertificate {
  readonly subject: string;
  readonly publicKey: webcrypto.CryptoKey;
  readonly usages: readonly x509.ExtendedKeyUsage[];
  readonly names: readonly SubjectName[];
  readonly now: EpochMs;
  readonly lifeMs: number;
}

async function issue(ca: Ca, wanted: NewCertificate): Promise<string> {
  const authority = new x509.X509Certificate(ca.certificatePem);
  const end = Math.min(wanted.now + wanted.lifeMs, authority.notAfter.getTime());
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: mintSerial(),
      subject: wanted.subject,
      issuer: authority.subject,
      notBefore: new Date(wanted.now - BACKDATE_MS),
      notAfter: new Date(end),
      publicKey: wanted.publicKey,
      signingKey: await importKey(createPrivateKey(ca.keyPem)),
      signingAlgorithm: P256,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([...wanted.usages]),
        new x509.SubjectAlternativeNameExtension([...wanted.names]),
        await x509.AuthorityKeyIdentifierExtension.create(await importPublicKey(ca.certificatePem)),
      ],
    },
    webcrypto,
  );
  return `${certificate.toString("pem")}\n`;
}

/** 127 random bits, positive (RFC 5280 §4.1.2.2: at most 20 octets). */
function mintSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function isIpAddress(name: string): boolean {
  return name.includes(":") || /^\d+(\.\d+){3}$/.test(name);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    .export({ format: "pem", type: "pkcs8" })
    .toString();
}

function importKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ format: "der", type: "pkcs8" });
  return webcrypto.subtle.importKey("pkcs8", new Uint8Array(der), P256, false, ["sign"]);
}

function importPublicKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPublicKey(pem).export({ format: "der", type: "spki" });
  return webcrypto.subtle.importKey("spki", new Uint8Array(der), P256, true, ["verify"]);
}
