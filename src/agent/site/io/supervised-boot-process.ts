/** Keeps the boot process (DHCP and TFTP) running: one that ends unasked is started again, ever later while it goes on ending. */
import { isDeepStrictEqual } from "node:util";
import { DrpError } from "../../../core/errors.ts";
import type { MacAddress } from "../../../core/mac.ts";
import type {
  BootSettings,
  ParentQuestion,
  ParentQuestions,
  ServiceState,
} from "../../../pxe/boot-process-messages.ts";
import { type BootProcess, type BootProcessOptions, startBootProcess } from "../../../pxe/io/boot-process.ts";

const FIRST_RESTART_MS = 500;
const LAST_RESTART_MS = 30_000;
/** A process that ran this long has not failed by its configuration. */
const SETTLED_MS = 60_000;

export interface SupervisedBootProcessOptions extends Omit<BootProcessOptions, "onExit"> {
  readonly onError: (context: string, error: unknown) => void;
}

export class SupervisedBootProcess implements AsyncDisposable {
  readonly #options: SupervisedBootProcessOptions;
  #settings: BootSettings;
  #process: BootProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #restartMs = FIRST_RESTART_MS;
  #stopped = false;

  constructor(options: SupervisedBootProcessOptions) {
    this.#options = options;
    this.#settings = options.config.settings;
  }

  get services(): readonly ServiceState[] {
    return this.#process?.services ?? [];
  }

  /** @throws {DrpError} internal, when the process ends before it has started its services */
  async start(): Promise<void> {
    const startedAt = performance.now();
    const { command, config, onEvent, scriptFor } = this.#options;
    this.#process = await startBootProcess({
      command,
      config: { ...config, settings: this.#settings },
      onEvent,
      scriptFor,
      onExit: how => {
        this.#process = undefined;
        if (performance.now() - startedAt > SETTLED_MS) this.#restartMs = FIRST_RESTART_MS;
        this.#startAgain(new Error(how));
      },
    });
    if (this.#stopped) await this.#process.stop();
  }

  /** Costs nothing when nothing has changed: most changes of a machine are none of its boot's. */
  configure(settings: BootSettings): void {
    if (isDeepStrictEqual(settings, this.#settings)) return;
    this.#settings = settings;
    this.#process?.configure(settings);
  }

  /** Boot HTTP has sent a machine all of a loader; lost while the process is being started again. */
  tellLoaderSent(mac: MacAddress, file: string): void {
    this.#process?.tellLoaderSent(mac, file);
  }

  /** @throws {DrpError} internal, while the process is being started again */
  async ask<Q extends ParentQuestion>(
    question: Q,
    ask: ParentQuestions[Q]["ask"],
  ): Promise<ParentQuestions[Q]["answer"]> {
    if (this.#process === undefined) {
      throw new DrpError("internal", "the boot process (DHCP and TFTP) is being started again", {
        advice: "Try again in a moment.",
      });
    }
    return this.#process.ask(question, ask);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#restart);
    await this.#process?.stop();
  }

  #startAgain(cause: unknown): void {
    if (this.#stopped) return;
    this.#options.onError(`the boot process ended; it starts again in ${this.#restartMs} ms`, cause);
    this.#restart = setTimeout(() => {
      this.start().catch(error => this.#startAgain(error));
    }, this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, LAST_RESTART_MS);
  }
}
