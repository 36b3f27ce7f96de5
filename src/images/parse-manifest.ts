/** Reads a manifest's text by its schema. Whether somebody vouches for it, and whether it is whole, signature.ts says. */
import { DrpError } from "../core/errors.ts";
import { type Manifest, manifestSchema } from "./manifest.ts";
import { describeSchemaIssue } from "./schema-issue.ts";

/**
 * For texts that were verified when they came, and are held or handed on since.
 *
 * @throws {DrpError} version.unsupported; bundle.malformed naming the field
 */
export function parseManifest(text: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw malformedManifest("the manifest is not JSON", cause);
  }
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  if (parsed.error.issues[0]?.path[0] === "formatVersion") {
    throw new DrpError("version.unsupported", "the manifest's format is newer than this program", {
      advice: "Update drp, or build the image with this version's `drp images build`.",
    });
  }
  throw malformedManifest(`the manifest's ${describeSchemaIssue(parsed.error)}`);
}

export function malformedManifest(message: string, cause?: unknown): DrpError {
  const advice = "Build the bundle again with `drp images build`.";
  return new DrpError("bundle.malformed", message, { advice, cause });
}
