/** Processor architectures in Debian's words, which images, loaders and machines share. */

export const ARCHITECTURES = ["amd64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** `uname -m` → Debian's name; undefined for a processor that we make no image for. */
export function architectureFromUname(machine: string): Architecture | undefined {
  if (machine === "x86_64") return "amd64";
  if (machine === "aarch64") return "arm64";
  return undefined;
}
