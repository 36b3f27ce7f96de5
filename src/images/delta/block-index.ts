/**
 * Where a block of the old image may be found again, by its hash: candidates, which the caller compares. Four bytes a slot: 24 bits
 * of block number (64 GiB of image), 8 more bits of the hash, so that few candidates are read in vain.
 */

/** 8 MiB of memory: every block of 6 GiB of data that is nowhere the same, every fourth of 24 GiB. */
const MAX_SLOTS = 2 ** 21;
/** Open addressing stays short below it. */
const MAX_LOAD = 0.75;
const MIN_SLOTS = 1024;
/** Spreads every bit of the hash over all of them; odd, so that no two hashes become one (Knuth, TAOCP 6.4). */
const MULTIPLIER = 0x9e3779b1;

export class BlockIndex {
  readonly #slots: Uint32Array;
  readonly #shift: number;
  /**
   * Only hashes that are a multiple of it are kept: an image with more blocks than fit is indexed in part, evenly by content, and
   * a run of equal blocks is found by any one of them.
   */
  readonly #every: number;
  /** Whatever the hashes are, some slots stay free: a search ends at one. */
  #free: number;

  /** @param blocks that may be added at most */
  constructor(blocks: number) {
    let slots = MIN_SLOTS;
    while (slots < MAX_SLOTS && blocks > slots * MAX_LOAD) slots *= 2;
    this.#slots = new Uint32Array(slots);
    this.#shift = 32 - Math.log2(slots);
    this.#every = Math.max(1, Math.ceil(blocks / (slots * MAX_LOAD)));
    this.#free = slots * MAX_LOAD;
  }

  /**
   * Of blocks with equal content the first is kept; by chance (1 of 256) also another one is left out, which costs a few bytes.
   *
   * @param block below 2^24
   */
  add(hash: number, block: number): void {
    // Block 0 is the sign of a free slot: a volume's first block is looked for at its own place.
    if (block === 0 || this.#free === 0 || !this.#keeps(hash)) return;
    const { slot, entry } = this.#probe(hash);
    if (entry !== 0) return;
    this.#slots[slot] = checkBits(hash) | block;
    this.#free--;
  }

  /** @returns an old block that probably has this hash; undefined when there is none */
  find(hash: number): number | undefined {
    if (!this.#keeps(hash)) return undefined;
    const { entry } = this.#probe(hash);
    return entry === 0 ? undefined : entry & 0xffffff;
  }

  #keeps(hash: number): boolean {
    return this.#every === 1 || (hash >>> 0) % this.#every === 0;
  }

  /** The slot that holds this hash, or the free one where it would be. */
  #probe(hash: number): { slot: number; entry: number } {
    const check = checkBits(hash);
    let slot = Math.imul(hash, MULTIPLIER) >>> this.#shift;
    for (;;) {
      const entry = this.#slots[slot] ?? 0;
      if (entry === 0 || ((entry ^ check) & 0xff000000) === 0) return { slot, entry };
      slot = slot + 1 < this.#slots.length ? slot + 1 : 0;
    }
  }
}

/** In the upper 8 bits, 8 that the slot's number does not already say: that comes from the product's upper 22. */
function checkBits(hash: number): number {
  return (Math.imul(hash, MULTIPLIER) << 22) & 0xff000000;
}
