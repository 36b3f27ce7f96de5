/** The parent's end of the boot process: starts it, gives it its settings, asks it for leases, hears of its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { DrpError } from "../../core/errors.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { BootEventListener } from "../../dhcp/io/server.ts";
import type {
  BootProcessConfig,
  BootSettings,
  FromBootProcess,
  ParentQuestion,
  ParentQuestions,
  ScriptQuestion,
  ServiceState,
  ToBootProcess,
} from "../boot-process-messages.ts";
import { unpackError } from "../carried-error.ts";

export interface BootProcessOptions {
  /** Program and arguments: [process.execPath, "src/main.ts", "boot-process"], or [process.execPath, "boot-process"]. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly config: BootProcessConfig;
  /** Already limited per machine; null where the packet did not say whose it is. */
  readonly onEvent: BootEventListener;
  /** The GRUB script of a machine; never rejects: a failure is a script that shows it. */
  readonly scriptFor: (question: ScriptQuestion) => Promise<string>;
  /** The process ended without being asked to. @param how "exit code 1", "signal SIGKILL" */
  readonly onExit: (how: string) => void;
}

export interface BootProcess {
  /** Which services run, and why the others do not; changes while interfaces come and go. */
  readonly services: readonly ServiceState[];
  /** Takes effect with the next packet. */
  configure(settings: BootSettings): void;
  /** Boot HTTP has sent a machine all of a loader. */
  tellLoaderSent(mac: MacAddress, file: string): void;
  /** @throws {DrpError} internal, when the process has ended; else what it says */
  ask<Q extends ParentQuestion>(
    question: Q,
    ask: ParentQuestions[Q]["ask"],
  ): Promise<ParentQuestions[Q]["answer"]>;
  stop(): Promise<void>;
}

/** Opens sockets and reads a journal: it has taken 0.3 s; a stopping one waits for one fsync. */
const STOP_WITHIN_MS = 5000;

/** @throws {DrpError} internal, when the process ends before it has started its services */
export async function startBootProcess(options: BootProcessOptions): Promise<BootProcess> {
  const [program, ...args] = options.command;
  const child = spawn(program, args, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
  const handle = new BootProcessHandle(child, options);
  await handle.start(options.config);
  return handle;
}

class BootProcessHandle implements BootProcess {
  services: readonly ServiceState[] = [];
  private readonly child: ChildProcess;
  private readonly options: BootProcessOptions;
  private readonly started = Promise.withResolvers<void>();
  private readonly questions = new Map<number, PromiseWithResolvers<unknown>>();
  private nextQuestion = 1;
  private stopping = false;
  private ended = false;

  constructor(child: ChildProcess, options: BootProcessOptions) {
    this.child = child;
    this.options = options;
    child.on("message", (message: FromBootProcess) => this.hear(message));
    child.once("error", error => this.hearEnd(error.message));
    child.once("exit", (code, signal) =>
      this.hearEnd(signal === null ? `exit code ${code}` : `signal ${signal}`),
    );
  }

  async start(config: BootProcessConfig): Promise<void> {
    this.tell({ kind: "start", config });
    await this.started.promise;
  }

  configure(settings: BootSettings): void {
    this.tell({ kind: "configure", settings });
  }

  tellLoaderSent(mac: MacAddress, file: string): void {
    this.tell({ kind: "loader-sent", mac, file });
  }

  async ask<Q extends ParentQuestion>(
    question: Q,
    ask: ParentQuestions[Q]["ask"],
  ): Promise<ParentQuestions[Q]["answer"]> {
    if (this.ended) throw processEnded("before the question");
    const id = this.nextQuestion++;
    const answer = Promise.withResolvers<unknown>();
    this.questions.set(id, answer);
    this.tell({ kind: "question", id, question, ask } as ToBootProcess);
    return (await answer.promise) as ParentQuestions[Q]["answer"];
  }

  async stop(): Promise<void> {
    this.stopping = true;
    if (this.ended) return;
    const exited = once(this.child, "exit");
    const kill = setTimeout(() => this.child.kill("SIGKILL"), STOP_WITHIN_MS);
    if (this.child.connected) this.child.disconnect();
    await exited;
    clearTimeout(kill);
  }

  private hear(message: FromBootProcess): void {
    switch (message.kind) {
      case "services":
        this.services = message.services;
        this.started.resolve();
        return;
      case "event":
        this.options.onEvent(message.mac, message.event);
        return;
      case "answer":
        this.questions.get(message.id)?.resolve(message.answer);
        this.questions.delete(message.id);
        return;
      case "failure":
        this.questions.get(message.id)?.reject(unpackError(message.error));
        this.questions.delete(message.id);
        return;
      case "ask-script": {
        const { id } = message;
        void this.options.scriptFor(message.question).then(text => this.tell({ kind: "script", id, text }));
        return;
      }
    }
  }

  private hearEnd(how: string): void {
    if (this.ended) return;
    this.ended = true;
    this.started.reject(processEnded(how));
    for (const question of this.questions.values()) question.reject(processEnded(how));
    this.questions.clear();
    if (!this.stopping) this.options.onExit(how);
  }

  private tell(message: ToBootProcess): void {
    // A child that has just ended: its "exit" event says so.
    if (this.child.connected) this.child.send(message, () => {});
  }
}

function processEnded(how: string): DrpError {
  return new DrpError("internal", `the boot process (DHCP and TFTP) ended: ${how}`, {
    advice: "Read the lines before this one; drp starts the process again.",
  });
}
