import { describe, expect, it } from "vitest";
import { contentTypeOf } from "../../src/pxe/http-content-type.ts";
import { decideRefusal } from "../../src/pxe/http-refusal.ts";

describe("decideRefusal()", () => {
  it("tells who speaks TLS to it that boot files are served without", () => {
    const hello = Buffer.from("1603010200010001fc0303", "hex");
    expect(decideRefusal("HPE_INVALID_METHOD", hello, 10_000)?.summary).toBe(
      "speaks TLS; boot files are served as http:// only",
    );
  });

  it.each([
    ["HPE_INVALID_METHOD", "HTTP/1.1 400 Bad Request\r\n"],
    ["HPE_HEADER_OVERFLOW", "HTTP/1.1 431 Request Header Fields Too Large\r\n"],
    ["ERR_HTTP_REQUEST_TIMEOUT", "HTTP/1.1 408 Request Timeout\r\n"],
  ])("answers %s and ends the connection", (code, statusLine) => {
    const answer = decideRefusal(code, undefined, 10_000)?.answer ?? "";
    expect(answer.startsWith(statusLine)).toBe(true);
    const [head = "", text = ""] = answer.split("\r\n\r\n");
    expect(head).toContain("connection: close");
    expect(head).toContain(`content-length: ${Buffer.byteLength(text)}`);
  });

  it.each(["ECONNRESET", "EPIPE", ""])("says nothing to who has gone: %j", code => {
    expect(decideRefusal(code, undefined, 10_000)).toBeUndefined();
  });
});

describe("contentTypeOf()", () => {
  it.each([
    // EDK2, HttpBootCheckImageType(): the type decides before the ending does, and is compared whole
    ["/loaders/ipxe.efi", "application/efi"],
    ["/loaders/SHIMX64.EFI", "application/efi"],
    // no disk image, which "application/vnd.efi-img" would make of it
    ["/ramdisk/initrd.img", "application/octet-stream"],
    ["/ramdisk/vmlinuz", "application/octet-stream"],
    ["/loaders/undionly.kpxe", "application/octet-stream"],
  ])("says of %s: %s", (path, type) => {
    expect(contentTypeOf(path)).toBe(type);
  });
});
