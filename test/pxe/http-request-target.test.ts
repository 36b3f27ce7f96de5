import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseRequestTarget } from "../../src/pxe/http-request-target.ts";

const NONE = "has a percent-escape that is none";
const NO_SLASH = "does not begin with a slash";
const CONTROL = "has a control character";
const DOTS = "has a dot segment";

describe("parseRequestTarget()", () => {
  it.each([
    // origin-form and absolute-form: RFC 9112 §3.2.1, §3.2.2
    ["/loaders/ipxe.efi", "/loaders/ipxe.efi"],
    ["/", "/"],
    ["http://10.0.0.1:8091/ramdisk/vmlinuz", "/ramdisk/vmlinuz"],
    ["HTTP://boot", "/"],
    ["http://boot?x=1", "/"],
    ["/http://boot/x", "/http:/boot/x"],
    // GRUB: "(http,server)//grub/grub.cfg"; never a host, as "//name" is to a URL parser
    ["//ramdisk/vmlinuz", "/ramdisk/vmlinuz"],
    ["/ramdisk///vmlinuz", "/ramdisk/vmlinuz"],
    ["/ramdisk%2Fvmlinuz", "/ramdisk/vmlinuz"],
    ["/loaders/%69pxe.efi", "/loaders/ipxe.efi"],
    ["/%252e%252e/x", "/%2e%2e/x"],
    ["/caf%C3%A9", "/café"],
    ["/caf\u00e9", "/café"],
    ["/x#y", "/x"],
    ["/...", "/..."],
    ["/loaders/a..b", "/loaders/a..b"],
  ])("reads %j as %j", (target, path) => {
    expect(parseRequestTarget(target)).toMatchObject({ kind: "name", path });
  });

  it.each([
    ["/../etc/passwd", DOTS],
    ["/loaders/../../etc/passwd", DOTS],
    ["/loaders/%2e%2E/x", DOTS],
    ["/%2e%2e%2fetc%2fpasswd", DOTS],
    ["/loaders/..", DOTS],
    ["/./x", DOTS],
    ["//../x", DOTS],
    ["/loaders/ipxe.efi%00.txt", CONTROL],
    ["/a%0d%0aevil: 1", CONTROL],
    ["/%7f", CONTROL],
    ["/%", NONE],
    ["/%zz", NONE],
    ["/%ff", NONE],
    ["*", NO_SLASH],
    ["", NO_SLASH],
    ["ramdisk/vmlinuz", NO_SLASH],
    ["boot:8091", NO_SLASH],
    ["file:///etc/passwd", NO_SLASH],
  ])("refuses %j: %s", (target, reason) => {
    expect(parseRequestTarget(target)).toEqual({ kind: "malformed", reason });
  });

  it("reads the query, also where it is empty or said twice", () => {
    const mac = (target: string) => {
      const parsed = parseRequestTarget(target);
      return parsed.kind === "name" ? parsed.query.get("mac") : parsed;
    };
    expect(mac("/boot.ipxe?mac=52%3A54%3A00%3A00%3A00%3A01")).toBe("52:54:00:00:00:01");
    expect(mac("/boot.ipxe?mac=a&mac=b")).toBe("a");
    expect(mac("/boot.ipxe?")).toBe(null);
  });

  it("never throws, and never lets a name leave the tables it is looked up in", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("/", ".", "%", "2", "e", "f", "?", "\0", "é", "a") }),
        text => {
          const parsed = parseRequestTarget(`/${text}`);
          if (parsed.kind === "malformed") return;
          expect(parsed.path).toMatch(/^\//);
          expect(parsed.path).not.toMatch(/\/\/|\0|(^|\/)\.\.?(\/|$)/);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
