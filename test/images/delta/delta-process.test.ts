import { expect, test } from "vitest";
import type { DeltaJob } from "../../../src/images/delta/process-messages.ts";
import { imageDigest } from "../../../src/images/digest.ts";
import { runDeltaJob } from "../../../src/images/io/delta-process.ts";
import { CHUNK_BYTES } from "../../../src/images/manifest.ts";

const image: DeltaJob["from"] = {
  digest: imageDigest("an image"),
  payload: { name: "disk.img", sizeBytes: 0, chunkBytes: CHUNK_BYTES, chunks: [] },
};
const job: DeltaJob = { from: image, to: image, path: "/nonexistent/delta" };
const placeOf = () => Promise.resolve({ kind: "lost" as const, because: "there is none" });

test("runDeltaJob() that is aborted rejects when the process is gone, not when it is told to go", async () => {
  const abort = new AbortController();
  let pid = 0;
  // Tells its process id, which is all that is asked of it, and stays.
  const program =
    'process.send({ kind: "progress", doneBytes: process.pid }); process.on("message", () => {});';
  const made = runDeltaJob(job, {
    command: [process.execPath, "-e", program],
    placeOf,
    onBytesDone: doneBytes => {
      pid = doneBytes;
      abort.abort();
    },
    signal: abort.signal,
  });
  await expect(made).rejects.toMatchObject({ code: "internal" });
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

test("runDeltaJob() says that its program is not there", async () => {
  const { signal } = new AbortController();
  await expect(
    runDeltaJob(job, { command: ["/nonexistent/drp"], placeOf, onBytesDone: () => {}, signal }),
  ).rejects.toMatchObject({ code: "internal", message: expect.stringContaining("ENOENT") });
});
