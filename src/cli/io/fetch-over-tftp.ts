/** Fetches a file the way a machine's firmware does, with npm's `tftp` as an independent client. */
import tftp from "tftp";

export interface TftpFetch {
  readonly sizeBytes: number;
  readonly durationMs: number;
}

const RETRIES = 2;
const RETRY_AFTER_MS = 1000;

/** @throws the server's refusal, or that nothing answered */
export function fetchOverTftp(
  host: string,
  port: number,
  file: string,
  signal: AbortSignal,
): Promise<TftpFetch> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    let sizeBytes = 0;
    const download = tftp
      .createClient({ host, port, retries: RETRIES, timeout: RETRY_AFTER_MS })
      .createGetStream(file);
    signal.addEventListener("abort", () => download.abort(), { once: true });
    download.on("data", (block: Buffer) => {
      sizeBytes += block.length;
    });
    download.on("end", () => resolve({ sizeBytes, durationMs: performance.now() - startedAt }));
    download.on("error", reject);
    download.on("abort", () => reject(new Error("given up")));
  });
}
