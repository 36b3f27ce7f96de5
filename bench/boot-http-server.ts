/** Our boot HTTP server alone, as `drp serve` starts it, for a folder of files: `node boot-http-server.ts PORT FOLDER`. */
import path from "node:path";
import { startBootHttp } from "../src/pxe/io/boot-http.ts";

const [port = "", folder = ""] = process.argv.slice(2);
await startBootHttp({
  host: "0.0.0.0",
  port: Number(port),
  findFile: urlPath => path.join(folder, urlPath),
  findChunk: async digest => path.join(folder, "chunks", digest),
  scriptFor: () => Promise.reject(new Error("there are no machines here")),
  onEvent: () => {},
  clock: Date.now,
});
