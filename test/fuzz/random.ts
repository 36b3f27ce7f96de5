/** Random numbers that a seed repeats: mulberry32 (Tommy Ettinger, public domain), good enough to make up packets. */
export class SeededRandom {
  private state: number;

  /** @param seed of which 32 bits count */
  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** 0 … 2^32-1 */
  uint32(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** 0 … limit-1 */
  below(limit: number): number {
    return this.uint32() % limit;
  }

  /** True once in `n`. */
  onceIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0];
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let offset = 0; offset < length; offset++) bytes[offset] = this.uint32();
    return bytes;
  }
}
