/**
 * The token with which a site joins: a secret that the hub knows by its hash, and the hash of the fleet's CA, so that the
 * site trusts nobody else from its first byte on.
 */

export interface JoinToken {
  /** SHA-256 of the CA key's SPKI, lower-case hexadecimal. */
  readonly caFingerprint: string;
  readonly secret: string;
}

const SHAPE = /^drp-join\.([0-9a-f]{64})\.([A-Za-z0-9_-]{32,128})$/;

/** "drp-join.<CA fingerprint>.<secret>". The hub keeps the SHA-256 of this whole text. @param secret base64url */
export function formatJoinToken({ caFingerprint, secret }: JoinToken): string {
  return `drp-join.${caFingerprint}.${secret}`;
}

/** Undefined for what is no join token. */
export function parseJoinToken(text: string): JoinToken | undefined {
  const [, caFingerprint, secret] = SHAPE.exec(text.trim()) ?? [];
  return caFingerprint === undefined || secret === undefined ? undefined : { caFingerprint, secret };
}
