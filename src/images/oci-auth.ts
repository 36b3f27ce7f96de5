/** What a registry asks of a client that it does not know (distribution specification; RFC 9110 §11), and what is told to whom. */
import { z } from "zod";
import { DrpError } from "../core/errors.ts";
import { isLoopbackHost, type OciReference } from "./oci-reference.ts";

export interface OciCredentials {
  readonly username: string;
  readonly password: string;
}

export type OciChallenge =
  | { readonly kind: "basic" }
  /** Whoever asks there gets a token for `service` and `scope`. */
  | {
      readonly kind: "bearer";
      readonly realm: string;
      readonly service: string | undefined;
      readonly scope: string | undefined;
    };

/** @param header of WWW-Authenticate; @returns undefined when it asks for what is not known here */
export function parseChallenge(header: string): OciChallenge | undefined {
  const scheme = /^\s*(\w+)/.exec(header)?.[1]?.toLowerCase();
  if (scheme === "basic") return { kind: "basic" };
  if (scheme !== "bearer") return undefined;
  const parameters = new Map(
    Array.from(header.matchAll(/(\w+)="([^"]*)"/g), ([, key = "", value = ""]) => [key.toLowerCase(), value]),
  );
  const realm = parameters.get("realm");
  if (realm === undefined) return undefined;
  return { kind: "bearer", realm, service: parameters.get("service"), scope: parameters.get("scope") };
}

/**
 * @returns where to ask for a token; undefined where a name and password would travel in the clear, or to no web server
 */
export function tokenUrl(
  challenge: OciChallenge & { kind: "bearer" },
  { repository }: OciReference,
  isPlainHttpWanted: boolean,
): URL | undefined {
  const url = URL.parse(challenge.realm);
  if (url === null || url.username !== "" || url.password !== "") return undefined;
  const isPlain = url.protocol === "http:" && (isPlainHttpWanted || isLoopbackHost(url.host));
  if (url.protocol !== "https:" && !isPlain) return undefined;
  if (challenge.service !== undefined) url.searchParams.set("service", challenge.service);
  url.searchParams.set("scope", challenge.scope ?? `repository:${repository}:pull`);
  return url;
}

const authFileSchema = z.object({
  auths: z.record(z.string(), z.object({ auth: z.string().optional() })).optional(),
});

/**
 * @param text of an auth file, such as ~/.docker/config.json
 * @returns undefined when it has none for the host
 * @throws {DrpError} config.invalid, without the file's content
 */
export function findCredentials(text: string, host: string, file: string): OciCredentials | undefined {
  const refuse = (): DrpError =>
    new DrpError("config.invalid", `${file} is not an auth file that can be read`, {
      advice: "Log in again: skopeo login, podman login or docker login.",
    });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw refuse();
  }
  const parsed = authFileSchema.safeParse(json);
  if (!parsed.success) throw refuse();
  const entry = Object.entries(parsed.data.auths ?? {}).find(([key]) => hostOfKey(key) === host)?.[1];
  if (entry?.auth === undefined) return undefined;
  const decoded = Buffer.from(entry.auth, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  if (colon === -1) throw refuse();
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/** Keys are hosts; older ones are addresses: "https://registry.example/v1/". */
function hostOfKey(key: string): string {
  return key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
}

/**
 * Where a redirect of a blob may lead, and whether it hears who we are: only the origin that asked for it does.
 *
 * @throws {DrpError} registry.failed when it leads away from https, or to no web server
 */
export function followRedirect(
  from: URL,
  location: string,
  isPlainHttpWanted: boolean,
): { readonly url: URL; readonly keepsAuthorization: boolean } {
  const url = URL.parse(location, from.href);
  const isPlain =
    url?.protocol === "http:" && from.protocol === "http:" && (isPlainHttpWanted || isLoopbackHost(url.host));
  if (url === null || (url.protocol !== "https:" && !isPlain)) {
    throw new DrpError(
      "registry.failed",
      `${from.host} redirects to ${JSON.stringify(location.slice(0, 200))}`,
      {
        advice: "Look at the registry's settings: what it redirects to must be https.",
      },
    );
  }
  return { url, keepsAuthorization: url.origin === from.origin };
}
