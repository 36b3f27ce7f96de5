/** The ramdisk's clock, before TLS looks at it. */
import { runTool } from "../../../images/io/run-tool.ts";

/** Moves the clock forward to the ramdisk's build time if it is behind, and never back: certificates are younger. */
export async function moveClockForward(builtAt: Date): Promise<void> {
  if (Date.now() >= builtAt.getTime()) return;
  await runTool("date", ["-s", `@${Math.ceil(builtAt.getTime() / 1000)}`]);
}
