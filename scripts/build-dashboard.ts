/** The web page → dist/dashboard. */
import { build } from "vite";

export async function buildDashboard(): Promise<void> {
  await build({ root: "src/dashboard", configFile: "src/dashboard/vite.config.ts", logLevel: "warn" });
}
