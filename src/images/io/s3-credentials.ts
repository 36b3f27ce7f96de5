/** The access key of an S3 store: from the environment, or from a file in the form of `~/.aws/credentials`. */
import { readFileSync } from "node:fs";
import { DrpError } from "../../core/errors.ts";
import type { S3Credentials } from "./s3-objects.ts";

/**
 * @param file its profile `default` counts; null: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 * @throws {DrpError} config.invalid; never with a secret in its words
 */
export function readS3Credentials(
  file: string | null,
  env: Readonly<Record<string, string | undefined>>,
): S3Credentials {
  const values = file === null ? env : upperCased(parseProfile(readText(file)));
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = values;
  if (AWS_ACCESS_KEY_ID === undefined || AWS_SECRET_ACCESS_KEY === undefined) {
    const where = file === null ? "the environment has no" : `${file} has no [default] with`;
    throw new DrpError("config.invalid", `images.store: ${where} access key for the S3 store`, {
      advice:
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file by images.store.credentialsFile.",
    });
  }
  return {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    ...(AWS_SESSION_TOKEN === undefined ? {} : { sessionToken: AWS_SESSION_TOKEN }),
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new DrpError("config.invalid", `images.store.credentialsFile: ${file} cannot be read`, {
      advice: "Check the path, and that the hub's user may read it.",
      cause,
    });
  }
}

/** `key = value` lines of the section `[default]`. */
function parseProfile(text: string): Record<string, string> {
  const profile: Record<string, string> = {};
  let section = "";
  for (const line of text.split("\n")) {
    const [, name] = /^\s*\[([^\]]*)\]\s*$/.exec(line) ?? [];
    if (name !== undefined) section = name.trim();
    const [, key, value] = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? [];
    if (section === "default" && key !== undefined && value !== undefined) profile[key] = value;
  }
  return profile;
}

function upperCased(values: Record<string, string>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key.toUpperCase(), value]));
}
