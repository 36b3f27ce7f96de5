import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { BootServices } from "../../src/pxe/io/boot-services.ts";
import { bootSettings, ipv4 } from "./helpers/boot-process.ts";

it("BootServices that are closed while they start hold no port afterwards", async () => {
  const folder = await mkdtemp(join(tmpdir(), "drp-boot-services-"));
  const port = await freePort();
  const services = new BootServices({
    config: {
      mode: "off",
      interfaces: [{ name: "lo", address: ipv4("127.0.0.1") }],
      ports: { dhcp: 67, proxyDhcp: 4011, tftp: port },
      leaseJournal: join(folder, "leases.journal"),
      settings: bootSettings(),
    },
    clock: Date.now,
    onEvent: () => {},
    scriptFor: async () => "",
    onServices: () => {},
  });
  const starting = services.start();
  await services.close();
  await starting;
  expect(await freePort(port)).toBe(port);
  await rm(folder, { recursive: true });
});

/** @param wanted 0: any; fails where it is taken */
async function freePort(wanted = 0): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(wanted, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}
