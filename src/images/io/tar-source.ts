/** Lays a tar into a tree: names and attributes into memory, the bytes of its files into the spool. */
import type { FileTree } from "../file-tree.ts";
import { readTar } from "../tar-reader.ts";
import { ContentKeeper } from "./content-keeper.ts";
import type { ContentSpool } from "./content-spool.ts";

/**
 * For OCI layers: `tree.beginLayer()` before each, the lowest first.
 *
 * @param source the plain tar, decompressed; read to its end
 * @throws {DrpError} input.unreadable with the entry's name and its offset; what the source throws
 */
export async function layTar(
  tree: FileTree,
  source: AsyncIterable<Uint8Array>,
  spool: ContentSpool,
): Promise<void> {
  const keeper = new ContentKeeper(spool);
  for await (const entry of readTar(source)) {
    const { name, offsetBytes, attributes, body } = entry;
    if (body.kind !== "file") {
      tree.lay({ name, offsetBytes, attributes, body });
      continue;
    }
    const runs = await keeper.keep(entry.content, body.stretches, body.sizeBytes);
    const content = { path: spool.path, sizeBytes: body.sizeBytes, runs };
    tree.lay({ name, offsetBytes, attributes, body: { kind: "file", content } });
  }
  await spool.flush();
}
