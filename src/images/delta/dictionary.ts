/**
 * Chooses which parts of the old image help to compress the literals of a group: where a file was changed, the blocks beside the
 * change are copies, and the old form of what changed lies beside their sources.
 */
import { type BlockRange, type BlockSource, LITERAL, MAX_DICTIONARY_BLOCKS } from "./group.ts";

/** 64 KiB: the unit of what is taken, since a changed place seldom moves further within its file. */
const RANGE_BLOCKS = 16;
/** 2 MiB: copies further away belong to another file more often than not. */
const REACH_BLOCKS = 512;

/** A copy beside the group: the block of the new image, and the old block that it is. */
export interface NearbyCopy {
  readonly block: number;
  readonly source: number;
}

/**
 * @param group as matched; firstBlock is its place in the new image
 * @param before the last copy before the group
 * @param after the first copy after it
 * @param oldBlocks of the old image
 */
export function chooseDictionary(
  group: { readonly firstBlock: number; readonly sources: readonly BlockSource[] },
  before: NearbyCopy | undefined,
  after: NearbyCopy | undefined,
  oldBlocks: number,
): BlockRange[] {
  const votes = new Map<number, number>();
  const vote = (block: number, weight: number): void => {
    if (block < 0 || block >= oldBlocks) return;
    const range = Math.floor(block / RANGE_BLOCKS);
    votes.set(range, (votes.get(range) ?? 0) + weight);
  };
  const voteBeside = (block: number, copy: NearbyCopy | undefined): void => {
    if (copy === undefined) return;
    const distance = block - copy.block;
    if (Math.abs(distance) >= REACH_BLOCKS) return;
    vote(copy.source + distance, REACH_BLOCKS / 2 / Math.abs(distance) + 1);
    // What was put in or taken out moves the rest: the old form may begin at the copy itself.
    vote(copy.source + Math.sign(distance), 1 / Math.abs(distance));
  };
  walk(group, before, voteBeside, block => vote(block, 1));
  walk(group, after, voteBeside, () => {}, "backwards");
  return asRanges(bestOf(votes), oldBlocks);
}

/** Calls back for each literal, with the last copy that was met on the way. */
function walk(
  { firstBlock, sources }: { readonly firstBlock: number; readonly sources: readonly BlockSource[] },
  outside: NearbyCopy | undefined,
  onLiteral: (block: number, copy: NearbyCopy | undefined) => void,
  onPlace: (block: number) => void,
  direction: "forwards" | "backwards" = "forwards",
): void {
  let copy = outside;
  for (let step = 0; step < sources.length; step++) {
    const index = direction === "forwards" ? step : sources.length - 1 - step;
    const source = sources[index];
    const block = firstBlock + index;
    if (source === LITERAL) {
      onLiteral(block, copy);
      onPlace(block);
    } else if (source !== undefined && source >= 0) copy = { block, source };
  }
}

function bestOf(votes: ReadonlyMap<number, number>): number[] {
  return Array.from(votes)
    .sort(([oneRange, one], [otherRange, other]) => other - one || oneRange - otherRange)
    .slice(0, MAX_DICTIONARY_BLOCKS / RANGE_BLOCKS)
    .map(([range]) => range)
    .sort((one, other) => one - other);
}

function asRanges(chosen: readonly number[], oldBlocks: number): BlockRange[] {
  const ranges: BlockRange[] = [];
  for (const range of chosen) {
    const first = range * RANGE_BLOCKS;
    const count = Math.min(RANGE_BLOCKS, oldBlocks - first);
    const last = ranges.at(-1);
    if (last !== undefined && last.first + last.count === first) {
      ranges[ranges.length - 1] = { first: last.first, count: last.count + count };
    } else ranges.push({ first, count });
  }
  return ranges;
}
