/** Names for digests, as the hub's registry knows them. */
import { imageSchema } from "../api/wire.ts";
import type { CliContext } from "./cli.ts";
import { imageNamer } from "./format/words.ts";

/** @returns NAME:VERSION for a digest, or the short digest of an image that is gone */
export async function readImageNames(context: CliContext): Promise<(digest: string) => string> {
  return imageNamer(await context.api().list("/images", imageSchema));
}
