import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { type CpioEntry, encodeCpio, encodeCpioBytes } from "../../src/images/cpio.ts";

const ENTRIES: CpioEntry[] = [
  { kind: "directory", path: "etc", permissions: 0o755 },
  { kind: "file", path: "etc/name", permissions: 0o640, contents: Buffer.from("drp\n!") },
  { kind: "symlink", path: "etc/link", target: "name" },
  { kind: "file", path: "etc/empty", permissions: 0o755, contents: new Uint8Array() },
];
const CPIO = ["/usr/bin/cpio", "/bin/cpio"].find(existsSync);

describe("encodeCpioBytes()", () => {
  it("writes the newc header of cpio(5) for a file", () => {
    const archive = encodeCpioBytes(
      [{ kind: "file", path: "a", permissions: 0o644, contents: Buffer.from("hi") }],
      16,
    );
    const header =
      "070701 00000001 000081A4 00000000 00000000 00000001 00000010 00000002 00000000 00000000 00000000 00000000 00000002 00000000";
    expect(Buffer.from(archive).toString("latin1")).toMatch(
      new RegExp(`^${header.replaceAll(" ", "")}a\\0hi\\0{2}070701.*TRAILER!!!\\0+$`),
    );
  });

  it("writes a device node's numbers", () => {
    const console: CpioEntry = {
      kind: "character-device",
      path: "dev/console",
      permissions: 0o600,
      major: 5,
      minor: 1,
    };
    const header = Buffer.from(encodeCpioBytes([console])).toString("latin1", 0, 110);
    expect(header.slice(14, 22)).toBe("00002180");
    expect(header.slice(78, 94)).toBe("0000000500000001");
  });

  it("ends at a multiple of four bytes, whatever the names and contents", () => {
    for (let length = 0; length < 9; length++) {
      const contents = new Uint8Array(length);
      const entry: CpioEntry = { kind: "file", path: "x".repeat(length + 1), permissions: 0o644, contents };
      expect(encodeCpioBytes([entry]).length % 4).toBe(0);
    }
  });

  it("gives the same bytes for the same entries", () => {
    expect(encodeCpioBytes(ENTRIES, 1)).toEqual(encodeCpioBytes(ENTRIES, 1));
  });

  it("refuses an absolute path", () => {
    expect(() => encodeCpioBytes([{ kind: "directory", path: "/etc", permissions: 0o755 }])).toThrow(
      'not "/etc"',
    );
  });

  it.skipIf(CPIO === undefined)("is unpacked by cpio as it was meant", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "drp-cpio-"));
    try {
      execFileSync(CPIO ?? "", ["--extract", "--quiet"], { cwd: folder, input: encodeCpioBytes(ENTRIES) });
      expect(readFileSync(path.join(folder, "etc/name"), "utf8")).toBe("drp\n!");
      expect(statSync(path.join(folder, "etc/name")).mode & 0o777).toBe(0o640);
      expect(readlinkSync(path.join(folder, "etc/link"))).toBe("name");
      expect(statSync(path.join(folder, "etc/empty")).size).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("encodeCpio()", () => {
  it("asks for an entry only when the one before it was taken", () => {
    const asked: string[] = [];
    const pieces = encodeCpio(
      (function* () {
        for (const entry of ENTRIES) {
          asked.push(entry.path);
          yield entry;
        }
      })(),
    );
    pieces.next();
    expect(asked).toEqual(["etc"]);
  });
});
