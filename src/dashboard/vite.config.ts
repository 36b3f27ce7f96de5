import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [preact()],
  // The hub may be behind a proxy that gives it a path of its own.
  base: "./",
  build: {
    outDir: "../../dist/dashboard",
    emptyOutDir: true,
    target: "es2022",
    // The hub's content security policy allows files of its own origin only: nothing inline.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});
