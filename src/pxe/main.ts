/** The boot process: DHCP and TFTP on their own event loop, so that no fsync, hash or install delays an offer. */
import type { FromBootProcess, ToBootProcess } from "./boot-process-messages.ts";
import { BootServices } from "./io/boot-services.ts";

/** Ends when the parent ends, however that happens: the IPC channel closes. @returns the exit code */
export async function runBootProcess(): Promise<number> {
  if (process.send === undefined) {
    process.stderr.write('drp: "boot-process" is started by "drp serve", not by hand\n');
    return 2;
  }
  const tell = (message: FromBootProcess) => {
    // The parent may be gone already; then "disconnect" follows.
    process.send?.(message, undefined, {}, () => {});
  };
  // Ctrl-C reaches the whole process group; the parent decides when this process ends.
  process.on("SIGINT", () => {});
  let services: BootServices | undefined;
  process.on("message", (message: ToBootProcess) => {
    switch (message.kind) {
      case "start":
        services = new BootServices(message.config, Date.now, (mac, event) =>
          tell({ kind: "event", mac, event }),
        );
        void services.start().then(states => tell({ kind: "started", services: states }));
        return;
      case "configure":
        services?.configure(message.settings);
        return;
      case "list-leases":
        tell({ kind: "leases", question: message.question, leases: services?.liveLeases() ?? [] });
        return;
    }
  });
  await new Promise(resolve => process.once("disconnect", resolve));
  await services?.close();
  return 0;
}
