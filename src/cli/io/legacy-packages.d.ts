/** The parts that `drp doctor` and its tests use of two packages that carry no types. */
declare module "dhcp" {
  import type { Socket } from "node:dgram";
  import type { EventEmitter } from "node:events";

  export interface DhcpMessage {
    readonly xid: number;
    readonly yiaddr: string;
    readonly siaddr: string;
    readonly file: string;
    readonly options: Readonly<Record<number, unknown>>;
  }

  export interface DhcpClient extends EventEmitter {
    _sock: Socket;
    _state: { xid: number };
    _send(host: string, message: Record<string, unknown>): void;
    handleOffer(message: DhcpMessage): void;
    handleAck(message: DhcpMessage): void;
    listen(port: number, address: string, listening: () => void): void;
    sendDiscover(): void;
    close(closed: () => void): void;
  }

  const dhcp: {
    createClient(config: { mac: string; features: readonly string[] }): DhcpClient;
    createServer(config: Record<string, unknown>): EventEmitter & { listen(): void };
    addOption(code: number, option: { name: string; type: string; attr: string }): void;
  };
  export default dhcp;
}

declare module "tftp" {
  import type { EventEmitter } from "node:events";

  export interface TftpDownload extends EventEmitter {
    abort(): void;
  }

  const tftp: {
    createClient(options: { host: string; port: number; retries: number; timeout: number }): {
      createGetStream(file: string): TftpDownload;
    };
  };
  export default tftp;
}
