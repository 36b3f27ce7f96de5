/**
 * How much of a file is read at a time, so that any number of transfers together hold no more than a fixed amount of memory.
 * A few transfers read one piece ahead of the one on its way; many keep disk and network busy without.
 */

/** For all transfers together, at any number of them. */
export const TRANSFER_MEMORY_BYTES = 32 * 1024 * 1024;
/** Beyond this, larger pieces were no faster, and each holds the event loop for longer (bench boot-http). */
export const MAX_PIECE_BYTES = 512 * 1024;
/** At TRANSFER_MEMORY_BYTES this is 4,096 transfers, the most connections that there are. */
const MIN_PIECE_BYTES = 8 * 1024;

/**
 * Powers of two, so that buffers of one size serve many transfers; grows again only at half the memory, so that one transfer
 * more or less does not change the size back and forth.
 *
 * @param presentBytes the size until now
 */
export function choosePieceBytes(presentBytes: number, transfers: number): number {
  let pieceBytes = presentBytes;
  while (pieceBytes > MIN_PIECE_BYTES && pieceBytes * transfers > TRANSFER_MEMORY_BYTES) pieceBytes /= 2;
  while (pieceBytes < MAX_PIECE_BYTES && pieceBytes * 2 * transfers <= TRANSFER_MEMORY_BYTES / 2) {
    pieceBytes *= 2;
  }
  return pieceBytes;
}

/** Whether each transfer may hold two of the largest pieces. */
export function mayReadAhead(transfers: number): boolean {
  return 2 * MAX_PIECE_BYTES * transfers <= TRANSFER_MEMORY_BYTES;
}
