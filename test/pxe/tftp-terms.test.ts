import { describe, expect, it } from "vitest";
import { agreeOnTerms, blockBytesInFrame } from "../../src/pxe/tftp-terms.ts";

const agree = (requested: Record<string, string>, maxBlockBytes = 1468) =>
  agreeOnTerms(new Map(Object.entries(requested)), 5000, maxBlockBytes);

describe("agreeOnTerms()", () => {
  it.each([
    // RFC 2348, 2349, 7440: a server may answer with less than it was asked for.
    [{ blksize: "1428", tsize: "0" }, "blksize=1428 tsize=5000"],
    [{ blksize: "65464" }, "blksize=1468"],
    // GRUB asks for 1024; EDK2 and iPXE for what their card's frame holds.
    [{ blksize: "1024" }, "blksize=1024"],
    [{ windowsize: "16" }, "windowsize=16"],
    [{ windowsize: "65535" }, "windowsize=64"],
    [{ timeout: "3" }, "timeout=3"],
    [{ timeout: "255" }, ""],
    [{ blksize: "7" }, ""],
    [{ blksize: "-1", windowsize: "0", timeout: "256", multicast: "" }, ""],
    [{ blksize: "1428x", windowsize: "1e3", tsize: "" }, "tsize=5000"],
  ])("answers %o with %j", (requested, agreed) => {
    expect([...agree(requested).agreed].map(pair => pair.join("=")).join(" ")).toBe(agreed);
  });

  it("sends blocks of 512 bytes one by one where nothing was asked for (RFC 1350)", () => {
    expect(agree({})).toMatchObject({ blockBytes: 512, windowBlocks: 1, lastBlock: 10, timeoutMs: null });
  });

  it("keeps what is in flight below 96 KiB: large blocks come in smaller windows", () => {
    expect(agree({ blksize: "8968", windowsize: "64" }, 8968)).toMatchObject({ windowBlocks: 10 });
    expect(agree({ blksize: "65464", windowsize: "64" }, 65_464)).toMatchObject({ windowBlocks: 1 });
  });

  it.each([
    [1500, 1468],
    [9000, 8968],
    [1420, 1388],
    [65_536, 65_464],
    [68, 512],
  ])("an interface of %i bytes carries blocks of %i", (mtu, block) => {
    expect(blockBytesInFrame(mtu)).toBe(block);
  });
});
