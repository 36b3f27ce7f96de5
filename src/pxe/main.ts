/** The boot process: DHCP and TFTP on their own event loop, so that no fsync, hash or install delays an offer. */

import type { FromBootProcess, ScriptQuestion, ToBootProcess } from "./boot-process-messages.ts";
import { carryError } from "./carried-error.ts";
import { BootServices } from "./io/boot-services.ts";
import { goFirst } from "./io/go-first.ts";

/** Ends when the parent ends, however that happens: the IPC channel closes. @returns the exit code */
export async function runBootProcess(): Promise<number> {
  if (process.send === undefined) {
    process.stderr.write('drp: "boot-process" is started by "drp serve", not by hand\n');
    return 2;
  }
  goFirst();
  const tell = (message: FromBootProcess) => {
    // The parent may be gone already; then "disconnect" follows.
    process.send?.(message, undefined, {}, () => {});
  };
  // Ctrl-C reaches the whole process group; the parent decides when this process ends.
  process.on("SIGINT", () => {});
  let services: BootServices | undefined;
  const scripts = new Map<number, (text: string) => void>();
  let nextScript = 1;
  const scriptFor = (question: ScriptQuestion) =>
    new Promise<string>(resolve => {
      const id = nextScript++;
      scripts.set(id, resolve);
      tell({ kind: "ask-script", id, question });
    });
  process.on("message", (message: ToBootProcess) => {
    switch (message.kind) {
      case "start":
        services = new BootServices({
          config: message.config,
          clock: Date.now,
          onEvent: (mac, event) => tell({ kind: "event", mac, event }),
          scriptFor,
          onServices: states => tell({ kind: "services", services: states }),
        });
        void services.start();
        return;
      case "configure":
        services?.configure(message.settings);
        return;
      case "loader-sent":
        services?.hearFetched(message.mac, message.file);
        return;
      case "question":
        void answer(services, message).then(tell);
        return;
      case "script":
        scripts.get(message.id)?.(message.text);
        scripts.delete(message.id);
        return;
    }
  });
  await new Promise(resolve => process.once("disconnect", resolve));
  await services?.close();
  return 0;
}

async function answer(
  services: BootServices | undefined,
  message: Extract<ToBootProcess, { kind: "question" }>,
): Promise<FromBootProcess> {
  const { id } = message;
  try {
    if (services === undefined) throw new Error("the boot process has no configuration yet");
    switch (message.question) {
      case "mac-of":
        return { kind: "answer", id, answer: services.macOf(message.ask.remoteAddress) };
      case "list-leases":
        return { kind: "answer", id, answer: services.book.liveLeases() };
      case "lease-history":
        return { kind: "answer", id, answer: await services.book.history(message.ask) };
      case "release-lease":
        return { kind: "answer", id, answer: (await services.book.release(message.ask.address)) ?? null };
    }
  } catch (error) {
    return { kind: "failure", id, error: carryError(error) };
  }
}
