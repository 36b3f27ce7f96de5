/** Lays a tar into a tree: names and attributes into memory, the bytes of its files into the spool. */
import type { ContentRun, FileTree } from "../file-tree.ts";
import { readTar, type TarEntry } from "../tar-reader.ts";
import type { Stretch } from "../tar-sparse.ts";
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
  for await (const entry of readTar(source)) {
    const { name, offsetBytes, attributes, body } = entry;
    if (body.kind !== "file") {
      tree.lay({ name, offsetBytes, attributes, body });
      continue;
    }
    const runs = placeRuns(body.stretches, spool.sizeBytes);
    // First the tree, which refuses what need not be kept.
    const content = { path: spool.path, sizeBytes: body.sizeBytes, runs };
    tree.lay({ name, offsetBytes, attributes, body: { kind: "file", content } });
    await keep(entry, spool);
  }
  await spool.flush();
}

async function keep(entry: TarEntry, spool: ContentSpool): Promise<void> {
  for await (const bytes of entry.content) await spool.append(bytes);
}

function placeRuns(stretches: readonly Stretch[], startBytes: number): ContentRun[] {
  let storedAtBytes = startBytes;
  return stretches.map(({ offsetBytes, sizeBytes }) => {
    const run = { offsetBytes, sizeBytes, storedAtBytes };
    storedAtBytes += sizeBytes;
    return run;
  });
}
