import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { ServiceState } from "../../src/pxe/boot-process-messages.ts";
import { BootServices } from "../../src/pxe/io/boot-services.ts";
import { bootSettings, ipv4 } from "./helpers/boot-process.ts";

it("BootServices take a port once who had it has stopped", async () => {
  await using folder = await temporaryFolder();
  const holder = createSocket("udp4").bind(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address();
  let tftp: ServiceState | undefined;
  const told = Promise.withResolvers<void>();
  const services = servicesWith(folder.path, port, states => {
    tftp = states.find(({ service }) => service === "tftp");
    if (tftp?.state === "on") told.resolve();
  });
  await services.start();
  expect(tftp).toMatchObject({ state: "off", error: { code: "port.in-use" } });
  holder.close();
  await told.promise;
  await services.close();
});

it("BootServices that are closed while they start hold no port afterwards", async () => {
  await using folder = await temporaryFolder();
  const port = await freePort();
  const services = servicesWith(folder.path, port, () => {});
  const starting = services.start();
  await services.close();
  await starting;
  expect(await freePort(port)).toBe(port);
});

function servicesWith(
  folder: string,
  tftp: number,
  onServices: (states: readonly ServiceState[]) => void,
): BootServices {
  return new BootServices({
    config: {
      mode: "off",
      interfaces: [{ name: "lo", address: ipv4("127.0.0.1") }],
      ports: { dhcp: 67, proxyDhcp: 4011, tftp },
      leaseJournal: join(folder, "leases.journal"),
      settings: bootSettings(),
    },
    clock: Date.now,
    onEvent: () => {},
    scriptFor: async () => "",
    onServices,
  });
}

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "drp-boot-services-"));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true }) };
}

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
