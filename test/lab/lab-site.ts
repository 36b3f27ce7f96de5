/** A site of the lab: its own switch behind a WAN link to the hub, and `drp site` on a small box there. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DRP, type LabHub } from "./lab-hub.ts";
import { isOnPath } from "./missing-for-lab.ts";
import { createNamespace, type Namespace, startRouter } from "./namespace.ts";
import { type LabProcess, run, startProcess } from "./processes.ts";

export const HUB_WAN_ADDRESS = "10.70.0.1";

export interface LabSite extends AsyncDisposable {
  readonly name: string;
  readonly namespace: Namespace;
  readonly logFile: string;
  /** kill -9, and a new start on the same data. */
  crashAndRestart(): Promise<void>;
}

/** @param number 1, 2, …: the site's LAN is 10.70.NUMBER.0/24 */
export async function openSite(
  name: string,
  number: number,
  { hub, hubNamespace, folder }: { hub: LabHub; hubNamespace: Namespace; folder: string },
): Promise<LabSite> {
  await using started = new AsyncDisposableStack();
  const namespace = started.use(await createNamespace(name));
  const lan = `10.70.${number}`;
  await namespace.addBridge("br0", `${lan}.1/24`);
  await connectToWan(namespace, hubNamespace, number);
  if (isOnPath("radvd")) started.use(await startRouter(namespace, folder));

  const dataFolder = join(folder, `site-${name}`);
  const configFile = join(folder, `site-${name}.yaml`);
  const logFile = join(folder, `site-${name}.log`);
  await writeFile(
    configFile,
    [
      `data: ${dataFolder}`,
      "dhcp:",
      "  interfaces: [br0]",
      "  subnets:",
      `    - network: ${lan}.0/24`,
      `      pools: [${lan}.100-${lan}.199]`,
      `      router: ${lan}.1`,
      "",
    ].join("\n"),
  );
  const [created] = await hub.query<{ joinToken: string }>("sites", "create", name);
  if (created === undefined) throw new Error(`drp sites create ${name} answered nothing`);
  await run([
    ...[...namespace.enter, DRP, "site", "join", created.joinToken],
    ...["--hub", `https://${HUB_WAN_ADDRESS}:8092`, "--config", configFile],
  ]);
  const start = (): LabProcess =>
    startProcess([...namespace.enter, DRP, "site", "run", "--config", configFile], { logFile });
  let running = start();
  started.defer(() => running[Symbol.asyncDispose]());
  const kept = started.move();
  return {
    name,
    namespace,
    logFile,
    async crashAndRestart() {
      await running.kill();
      running = start();
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function connectToWan(site: Namespace, hub: Namespace, number: number): Promise<void> {
  const port = `site${number}`;
  await hub.ip("link", "add", port, "type", "veth", "peer", "name", "wan", "netns", site.name);
  await hub.ip("link", "set", port, "master", "wan", "up");
  await site.ip("addr", "add", `10.70.0.${10 + number}/24`, "dev", "wan");
  await site.ip("link", "set", "wan", "up");
}
