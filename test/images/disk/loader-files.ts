/** Loader files with GRUB's structure and none of its code. */
import type { LoaderFiles } from "../../../src/images/install-loader.ts";
import { countingBytes } from "./system-tools.ts";

export function fakeBootImage(): Buffer {
  const image = countingBytes(512);
  image.set([0xeb, 0x05], 0x66);
  image.set([0x55, 0xaa], 510);
  return image;
}

export function fakeCoreImage(sizeBytes: number): Buffer {
  const image = countingBytes(sizeBytes, 7);
  image.fill(0, 0x1f4, 512);
  image.writeUInt16LE(0x820, 0x1fe);
  return image;
}

export function fakeLoader(): LoaderFiles {
  return {
    bootImage: fakeBootImage(),
    coreImage: fakeCoreImage(30_000),
    efiImage: countingBytes(200_000, 3),
    grubConfig: Buffer.from("# chooses the slot\n"),
  };
}
