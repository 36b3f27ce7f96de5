/** A WAN line between a site and its hub: TCP as it comes, counted, and cut or made a black hole at will. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class WanProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [site: Socket, hub: Socket]>();
  #blackHole = false;
  /** Payload of TCP from the hub to the site. */
  downBytes = 0;
  upBytes = 0;
  connections = 0;
  /** Called with each piece on its way down, before it is passed on. */
  onDown: (totalBytes: number) => void = () => {};

  private constructor(hubPort: number) {
    this.#server = createServer({ allowHalfOpen: false }, site => this.#join(site, hubPort));
  }

  static async open(hubPort: number): Promise<WanProxy> {
    const proxy = new WanProxy(hubPort);
    await new Promise<void>(resolve => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** Every connection breaks; new ones are taken. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  /**
   * Nothing passes any more, in either direction, and nothing says so; new connections open and are as silent. As on a real
   * line, what was not acknowledged passes when it is over.
   */
  swallow(swallows: boolean): void {
    this.#blackHole = swallows;
    for (const socket of [...this.#pairs].flat()) {
      if (swallows) socket.pause();
      else socket.resume();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #join(site: Socket, hubPort: number): void {
    this.connections++;
    const hub = connect(hubPort, "127.0.0.1");
    const pair = [site, hub] as const;
    this.#pairs.add(pair);
    for (const [from, to, isDown] of [
      [site, hub, false],
      [hub, site, true],
    ] as const) {
      from.on("data", (bytes: Buffer) => {
        if (isDown) this.downBytes += bytes.length;
        else this.upBytes += bytes.length;
        if (isDown) this.onDown(this.downBytes);
        if (to.destroyed) return;
        if (!to.write(bytes)) {
          from.pause();
          to.once("drain", () => this.#blackHole || from.resume());
        }
      });
      from.on("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      from.on("error", () => from.destroy());
      if (this.#blackHole) from.pause();
    }
  }
}
