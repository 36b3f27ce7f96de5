/**
 * Whether an image may take over the data partition of the one that runs. Releases count within one name; an image of another
 * name is no release of this one, so an image that sets a minimum does not replace it.
 */
import type { Manifest } from "./manifest.ts";

type Release = Pick<Manifest, "name" | "version" | "release">;

/** @param running null: nobody can say what runs. @returns what stands in the way, for people */
export function describeReleaseGap(
  image: Pick<Manifest, "name" | "version" | "minimumRelease">,
  running: Release | null,
): string | undefined {
  if (image.minimumRelease === 0) return undefined;
  const needed = `${image.name}:${image.version} replaces only release ${image.minimumRelease} of ${image.name} or a newer one`;
  if (running === null) return `${needed}, and it is not known what runs`;
  const { name, version, release } = running;
  if (name !== image.name) return `${needed}, and ${name}:${version} runs`;
  return release < image.minimumRelease
    ? `${needed}, and ${name}:${version} is release ${release}`
    : undefined;
}
