/**
 * Memory that the kernel can write from and read into past its cache (O_DIRECT, open(2)): it must begin on a page. A Buffer
 * does not; the memory of a WebAssembly program does, and nothing else of Node's.
 */
import { CHUNK_BYTES } from "../manifest.ts";

const WASM_PAGE_BYTES = 64 * 1024;

/** Node's types name WebAssembly without its Memory (WebAssembly JavaScript Interface §5.3). */
interface WithWebAssembly {
  readonly WebAssembly: {
    readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  };
}

/** @returns `count` pieces of CHUNK_BYTES, each on a page of its own; free when the last of them is forgotten */
export function allocateDirectMemory(count: number): Buffer[] {
  const pages = (count * CHUNK_BYTES) / WASM_PAGE_BYTES;
  const { Memory } = (globalThis as unknown as WithWebAssembly).WebAssembly;
  const { buffer } = new Memory({ initial: pages, maximum: pages });
  return Array.from({ length: count }, (_, index) => Buffer.from(buffer, index * CHUNK_BYTES, CHUNK_BYTES));
}
