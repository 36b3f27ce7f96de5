import type { Image } from "../api/wire.ts";
import { formatBytes } from "../core/bytes.ts";
import { age } from "./words.ts";

export function ImageList({ images, now }: { images: readonly Image[]; now: number }) {
  return (
    <section aria-labelledby="images-title">
      <h2 id="images-title">Images</h2>
      {images.length === 0 ? (
        <NoImages />
      ) : (
        <ul class="card entries">
          {images.map(image => (
            <li key={image.digest}>
              <strong>
                {image.name}:{image.version}{" "}
                {image.tags?.map(tag => (
                  <span key={tag} class="pill">
                    {tag}
                  </span>
                ))}
              </strong>
              <span class="quiet">
                {image.architecture}, {formatBytes(image.dataBytes)} of data
              </span>
              <span class="quiet">
                pushed {age(image.pushedAt, now)} by {image.pushedBy}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function NoImages() {
  return (
    <div class="card empty">
      <p>
        <strong>No images yet.</strong> Make a key, build a bundle, push it:
      </p>
      <pre>
        <code>{"drp images keys create NAME\ndrp images build --help\ndrp images push BUNDLE"}</code>
      </pre>
    </div>
  );
}
