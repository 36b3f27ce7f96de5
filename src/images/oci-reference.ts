/** How a person names an image in a registry: "oci://HOST[:PORT]/NAME:TAG" or "…@sha256:DIGEST" (OCI distribution specification). */
import { DrpError } from "../core/errors.ts";

/** "sha256:" and 64 lower-case hexadecimal digits. */
export type OciDigest = `sha256:${string}`;

export interface OciReference {
  /** With its port: "registry.example:5000", "[::1]:5000". */
  readonly host: string;
  /** "library/debian" */
  readonly repository: string;
  /** A tag, or a digest, which wins over a tag. */
  readonly target: string;
  /** What the target's bytes must have; undefined for a tag. */
  readonly digest: OciDigest | undefined;
}

export const OCI_SCHEME = "oci://";

const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$/;
const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const MAX_REPOSITORY_CHARACTERS = 255;

/** @throws {DrpError} request.invalid, naming the part */
export function parseOciReference(text: string): OciReference {
  const refuse = (
    what: string,
    advice = "Write it as oci://HOST[:PORT]/NAME:TAG or oci://HOST/NAME@sha256:DIGEST.",
  ) => new DrpError("request.invalid", `${JSON.stringify(text.slice(0, 300))} ${what}`, { advice });
  if (!text.startsWith(OCI_SCHEME)) throw refuse(`does not begin with ${OCI_SCHEME}`);
  const rest = text.slice(OCI_SCHEME.length);
  const slash = rest.indexOf("/");
  const host = rest.slice(0, Math.max(0, slash));
  if (!HOST.test(host)) throw refuse("has no host of a registry");
  const [named = "", digest, ...more] = rest.slice(slash + 1).split("@");
  if (more.length > 0 || (digest !== undefined && !isOciDigest(digest)))
    throw refuse("has no sha256 digest after its @");
  const colon = named.indexOf(":");
  const repository = colon === -1 ? named : named.slice(0, colon);
  const tag = colon === -1 ? undefined : named.slice(colon + 1);
  if (!REPOSITORY.test(repository) || repository.length > MAX_REPOSITORY_CHARACTERS) {
    throw refuse("has a repository's name that no registry takes: small letters, digits, . _ - and /");
  }
  if (tag !== undefined && !TAG.test(tag)) throw refuse("has a tag that no registry takes");
  if (digest !== undefined) return { host, repository, target: digest, digest };
  if (tag === undefined)
    throw refuse("names neither a tag nor a digest", "Add one: what latest means changes.");
  return { host, repository, target: tag, digest: undefined };
}

export function isOciDigest(text: string): text is OciDigest {
  return DIGEST.test(text);
}

/** This host itself, where no one listens in: http is good enough. */
export function isLoopbackHost(host: string): boolean {
  return /^(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?$/i.test(host);
}
