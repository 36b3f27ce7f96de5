/** Gives a buffer's memory back now: V8 counts it as none of its own, and lets 60 MB and more of it pile up before it looks. */

/**
 * @param bytes not to be used any more, by anybody: they are empty afterwards. What Node keeps in its pool, or may be only a part
 *   of a larger buffer's end, is left alone
 */
export function releaseMemory({ buffer, byteOffset }: Uint8Array): void {
  const isPooled = buffer.byteLength <= Buffer.poolSize;
  if (byteOffset === 0 && !isPooled && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
