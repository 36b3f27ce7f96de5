/**
 * The media type of a boot file, by its name.
 *
 * EDK2's HTTP boot takes the kind of image from the type of the answer to HEAD, else of that to GET, before it looks at the
 * URL's ending: "application/efi" is a program, "application/vnd.efi-iso" and "application/vnd.efi-img" are disks
 * (NetworkPkg/HttpBootDxe/HttpBootSupport.c, HttpBootCheckImageType()). It compares the whole field, so no parameter may
 * follow. A ramdisk called initrd.img is no disk: everything but programs is plain bytes.
 */
export function contentTypeOf(urlPath: string): string {
  return /\.efi$/i.test(urlPath) ? "application/efi" : "application/octet-stream";
}
