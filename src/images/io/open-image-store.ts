/** Opens the place where images are kept, as the settings name it. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DrpError } from "../../core/errors.ts";
import type { ImageStoreSettings } from "../store-settings.ts";
import { ChunkCache } from "./chunk-cache.ts";
import { FolderImageStore } from "./folder-image-store.ts";
import { HistoryImageStore } from "./history-image-store.ts";
import type { ImageStore } from "./image-store.ts";
import { readS3Credentials } from "./s3-credentials.ts";

/**
 * Asks an S3 store nothing yet: the hub starts although it cannot be reached.
 *
 * @param dir of images that are kept here, or of the cache of those that are kept elsewhere
 * @param env of the process: where an S3 store's access key may be
 * @throws {DrpError} data.unwritable, config.invalid
 */
export async function openImageStore(
  dir: string,
  settings: ImageStoreSettings,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ImageStore> {
  try {
    if (settings.kind === "folder") return await HistoryImageStore.open(await FolderImageStore.open(dir));
    const credentials = readS3Credentials(settings.credentialsFile, env);
    const cacheDir = join(dir, "cache");
    await mkdir(cacheDir, { recursive: true });
    const cache = await ChunkCache.open(cacheDir, settings.cacheBytes);
    // A hub that keeps its images itself never loads the client.
    const [{ S3Objects }, { S3ImageStore }] = await Promise.all([
      import("./s3-objects.ts"),
      import("./s3-image-store.ts"),
    ]);
    return new S3ImageStore(new S3Objects(settings, credentials), cache, cacheDir);
  } catch (cause) {
    if (cause instanceof DrpError) throw cause;
    throw new DrpError("data.unwritable", `cannot keep images in ${dir}`, {
      advice: "Check that the folder can be written and that its disk is not full.",
      cause,
    });
  }
}
