/** What a delta needs from zlib, given from outside so that the format stays free of it. */
export interface DeltaCodec {
  /** 32 bits that spread well; blocks that share them are compared byte by byte. */
  readonly hashBlock: (block: Uint8Array) => number;
  /** @returns one zstd frame */
  readonly compress: (literals: Uint8Array, dictionary: Uint8Array) => Promise<Buffer>;
  /**
   * @param lengthBytes of what comes out; memory for more is never taken
   * @throws whatever zlib says of bytes that are no such frame
   */
  readonly decompress: (frame: Uint8Array, dictionary: Uint8Array, lengthBytes: number) => Promise<Buffer>;
}
