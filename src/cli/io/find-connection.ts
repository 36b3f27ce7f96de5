/** Where the hub is and what proves who we are: the environment first, then the data folder of a hub on this host. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DrpError } from "../../core/errors.ts";

export interface Connection {
  readonly endpoint: URL;
  readonly token: string;
  /** PEM; undefined: the system's certificate authorities. */
  readonly ca: string | undefined;
}

/** @throws {DrpError} `auth.missing`, `input.unreadable` or `request.invalid` */
export function findConnection(env: NodeJS.ProcessEnv, isRoot: boolean): Connection {
  const folders = env.DRP_DATA ? [env.DRP_DATA] : [...(isRoot ? ["/var/lib/drp"] : []), ".drp"];
  const folder = folders.find(candidate => existsSync(join(candidate, "ca.pem")));
  const localCa = folder === undefined ? undefined : join(folder, "ca.pem");
  const caFile = env.DRP_CA || localCa;
  return {
    endpoint: parseEndpoint(env.DRP_ENDPOINT || "https://localhost:8092"),
    token: env.DRP_TOKEN || readLocalToken(folder, folders),
    ca: caFile === undefined ? undefined : readText(caFile),
  };
}

function parseEndpoint(text: string): URL {
  const url = URL.parse(text);
  if (url !== null && url.protocol === "https:") return url;
  throw new DrpError("request.invalid", `DRP_ENDPOINT is not an https address: ${text}`, {
    advice: "Write it as https://HOST:8092.",
  });
}

function readLocalToken(folder: string | undefined, folders: readonly string[]): string {
  if (folder === undefined) {
    throw new DrpError(
      "auth.missing",
      `DRP_TOKEN is not set, and no hub's data was found in ${folders.map(path => resolve(path)).join(" or ")}`,
      {
        advice:
          "Start a hub here with `drp serve`, or set DRP_ENDPOINT, DRP_TOKEN and DRP_CA to reach one elsewhere.",
      },
    );
  }
  return readText(join(folder, "admin.token")).trim();
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const denied = cause instanceof Error && "code" in cause && cause.code === "EACCES";
    throw new DrpError("input.unreadable", `cannot read ${file}`, {
      cause,
      advice: denied
        ? "Run drp as the hub's user, or set DRP_TOKEN and DRP_CA."
        : "Check DRP_CA and DRP_DATA, or set DRP_TOKEN.",
    });
  }
}
