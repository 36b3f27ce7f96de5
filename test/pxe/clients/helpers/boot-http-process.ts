/**
 * Boot HTTP as a process of its own, so that it can run inside a network namespace. Serves one file as every loader and as a
 * chunk, and refuses every machine its boot. "ready" is its first line, each event's kind a further one; it ends with its stdin.
 *
 * Arguments: the address to listen on, the port, the file.
 */
import { startBootHttp } from "../../../../src/pxe/io/boot-http.ts";
import { SERVED_LOADERS } from "../../../../src/pxe/loader-files.ts";

const [host = "", port = "", file = ""] = process.argv.slice(2);
const server = await startBootHttp({
  host,
  port: Number(port),
  findFile: path => (SERVED_LOADERS.some(name => path === `/loaders/${name}`) ? file : undefined),
  findChunk: async () => file,
  scriptFor: async () => ({ kind: "refused", reason: "this is a test" }),
  onEvent: (_mac, _remoteAddress, { kind }) => void process.stdout.write(`${kind}\n`),
  clock: Date.now,
});
process.stdout.write("ready\n");
for await (const _ of process.stdin) {
  // Nobody says anything: the end is the message.
}
await server.close();
