/** Our side of a benchmark as one file of JavaScript, as our executable holds it: reading TypeScript is no part of the product. */
import path from "node:path";
import { build } from "esbuild";

/**
 * @param script TypeScript, beside this file
 * @returns the file that was made
 */
export async function bundleScript(script: string, folder: string): Promise<string> {
  await build({
    entryPoints: [path.join(import.meta.dirname, script)],
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    // What is imported later is read later, as in the executable.
    splitting: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minify: true,
    logLevel: "warning",
    // Packages in CommonJS ask for Node's own modules by it.
    banner: {
      js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`,
    },
  });
  return path.join(folder, `${path.basename(script, ".ts")}.mjs`);
}
