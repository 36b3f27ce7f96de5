/** Makes the groups of a delta between two images, one after the other, in memory that does not grow with the images. */
import type { ImageReader } from "../image-reader.ts";
import type { DeltaCodec } from "./codec.ts";
import { chooseDictionary, type NearbyCopy } from "./dictionary.ts";
import { countBlocks, countGroups } from "./geometry.ts";
import { encodeGroup } from "./group.ts";
import { BlockMatcher, type MatchedGroup } from "./match.ts";

/**
 * Yields each group's bytes; encodeDeltaHeader() of their lengths goes before them.
 *
 * Memory: 8 MiB for the index of the old image, 3 chunks of it, two groups of the new one, a dictionary, and what the codec takes.
 *
 * @param onBytesDone of both images, zeros included; the sum of their sizes at the end
 * @throws what the readers and the codec throw
 */
export async function* encodeDelta(
  from: ImageReader,
  to: ImageReader,
  codec: DeltaCodec,
  onBytesDone: (doneBytes: number) => void = () => {},
): AsyncGenerator<Buffer, void, void> {
  let oldChunksDone = 0;
  const matcher = await BlockMatcher.open(from, to, codec, () => {
    oldChunksDone++;
    onBytesDone(Math.min(from.payload.sizeBytes, oldChunksDone * from.payload.chunkBytes));
  });
  const groups = countGroups(to.payload);
  let before: NearbyCopy | undefined;
  let current = await matcher.match(0);
  for (let group = 0; group < groups; group++) {
    // One ahead: the copy that follows the group says where its last literals may come from.
    const next = group + 1 < groups ? await matcher.match(group + 1) : undefined;
    const after = next === undefined ? undefined : edgeCopy(next, "first");
    yield await encodeMatched(current, before, after, matcher, codec, countBlocks(from.payload));
    before = edgeCopy(current, "last") ?? before;
    if (next !== undefined) current = next;
    onBytesDone(from.payload.sizeBytes + Math.round((to.payload.sizeBytes * (group + 1)) / groups));
  }
}

async function encodeMatched(
  group: MatchedGroup,
  before: NearbyCopy | undefined,
  after: NearbyCopy | undefined,
  matcher: BlockMatcher,
  codec: DeltaCodec,
  oldBlocks: number,
): Promise<Buffer> {
  const { sources, literals } = group;
  if (literals.length === 0) return encodeGroup({ sources, dictionary: [] }, literals);
  const dictionary = chooseDictionary(group, before, after, oldBlocks);
  const frame = await codec.compress(literals, await matcher.old.copyRanges(dictionary));
  return encodeGroup({ sources, dictionary }, frame);
}

function edgeCopy({ firstBlock, sources }: MatchedGroup, edge: "first" | "last"): NearbyCopy | undefined {
  const isCopy = (source: number) => source >= 0;
  const index = edge === "first" ? sources.findIndex(isCopy) : sources.findLastIndex(isCopy);
  const source = sources[index];
  return source === undefined ? undefined : { block: firstBlock + index, source };
}
