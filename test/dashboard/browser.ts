/** Debian's Chromium, or the reason why there is none. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

/** Undefined where the browser is there. */
export function missingBrowser(): string | undefined {
  return existsSync(CHROMIUM) ? undefined : `no ${CHROMIUM} (Debian package chromium)`;
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
