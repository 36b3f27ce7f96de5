import { describe, expect, it } from "vitest";
import { LoaderMemory, MAX_REMEMBERED, REMEMBERED_MS } from "../../src/pxe/loader-memory.ts";
import { macOf } from "../store/records.ts";

const MAC = macOf(1);

describe("LoaderMemory", () => {
  it("takes iPXE for rejected when all of it was fetched and the firmware came back", () => {
    const memory = new LoaderMemory();
    memory.fetched(MAC, "snponly.efi", 0);
    expect(memory.rejection(MAC, 1)).toBeUndefined();
    memory.cameBack(MAC);
    expect(memory.rejection(MAC, 2)).toBe(
      "it fetched all of snponly.efi and did not start it, as firmware with Secure Boot does",
    );
    expect(memory.rejection(macOf(2), 2)).toBeUndefined();
  });

  it("knows nothing against a machine whose firmware asks without having fetched", () => {
    const memory = new LoaderMemory();
    memory.cameBack(MAC);
    expect(memory.rejection(MAC, 0)).toBeUndefined();
  });

  it("forgets when iPXE speaks: then the firmware comes back because iPXE has ended", () => {
    const memory = new LoaderMemory();
    memory.fetched(MAC, "snponly.efi", 0);
    memory.started(MAC);
    memory.cameBack(MAC);
    expect(memory.rejection(MAC, 1)).toBeUndefined();
  });

  it("forgets after a day, so that a machine without Secure Boot now is given iPXE again", () => {
    const memory = new LoaderMemory();
    memory.fetched(MAC, "snponly.efi", 0);
    memory.cameBack(MAC);
    expect(memory.rejection(MAC, REMEMBERED_MS - 1)).toBeDefined();
    expect(memory.rejection(MAC, REMEMBERED_MS)).toBeUndefined();
  });

  it("remembers a bounded number of machines, the newest", () => {
    const memory = new LoaderMemory();
    for (let number = 1; number <= MAX_REMEMBERED + 1; number++) {
      memory.fetched(macOf(number), "snponly.efi", 0);
      memory.cameBack(macOf(number));
    }
    expect(memory.rejection(macOf(1), 1)).toBeUndefined();
    expect(memory.rejection(macOf(2), 1)).toBeDefined();
    expect(memory.rejection(macOf(MAX_REMEMBERED + 1), 1)).toBeDefined();
  });
});
