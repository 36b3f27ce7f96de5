/** Everything that `drp doctor` looks at, in the order in which a booting machine would meet it. */
import { createSocket } from "node:dgram";
import { get as httpGet } from "node:http";
import { get as httpsGet } from "node:https";
import { networkInterfaces } from "node:os";
import { describeErrorChain } from "../../core/errors.ts";
import type { Check } from "../format/doctor-report.ts";
import { contain } from "./contain.ts";
import { fetchOverTftp } from "./fetch-over-tftp.ts";
import { type DhcpAnswer, findDhcpServers, localAddresses } from "./find-dhcp-servers.ts";

export interface ExamineOptions {
  readonly host: string;
  readonly tftpPort: number;
  readonly bootPort: number;
  /** Empty: every interface with an address. */
  readonly interfaceNames: readonly string[];
  readonly dhcpPort: number;
  /** Another server gives the addresses. */
  readonly isProxy: boolean;
  /** Names on TFTP, and paths without the first slash on boot HTTP. */
  readonly files: { readonly tftp: readonly string[]; readonly http: readonly string[] };
}

/** Firmware asks again after 4 s (PXE 2.1 §2.2): who is slower than this boots nothing. */
const DHCP_LISTEN_MS = 3000;
const PROBE_TIMEOUT_MS = 8000;

export async function examine(options: ExamineOptions): Promise<Check[]> {
  const checks = [await checkHub(), ...(await checkPorts(options)), ...(await checkDhcp(options))];
  for (const loader of options.files.tftp) checks.push(await checkTftp(options, loader));
  for (const path of options.files.http) checks.push(await checkBootHttp(options, path));
  return checks;
}

async function checkHub(): Promise<Check> {
  const name = "hub";
  const endpoint = process.env.DRP_ENDPOINT || "https://localhost:8092";
  try {
    // Health says nothing that needs protection, and doctor must work before any CA is known.
    const status = await statusOf(done =>
      httpsGet(`${endpoint}/healthz`, { rejectUnauthorized: false }, done),
    );
    if (status === 200) return { name, result: "ok", detail: `${endpoint}/healthz answers` };
    return {
      name,
      result: "problem",
      detail: `${endpoint}/healthz answers ${status}`,
      advice: "Read the hub's log.",
    };
  } catch (error) {
    const detail = `${endpoint} does not answer: ${describeErrorChain(error)}`;
    return { name, result: "problem", detail, advice: "Start it with `drp serve`, or set DRP_ENDPOINT." };
  }
}

async function checkPorts({ dhcpPort, tftpPort }: ExamineOptions): Promise<Check[]> {
  return Promise.all(
    [dhcpPort, tftpPort].map(async port => {
      const name = `port ${port}/udp`;
      const code = await tryBind(port);
      if (code === undefined) return { name, result: "ok", detail: "free, and we may bind it" };
      if (code === "EADDRINUSE") return { name, result: "ok", detail: "in use: a server runs here" };
      const advice = "Run the hub as root, or give its unit AmbientCapabilities=CAP_NET_BIND_SERVICE.";
      return { name, result: "problem", detail: `may not be bound by this user (${code})`, advice };
    }),
  );
}

async function checkDhcp({ interfaceNames, isProxy }: ExamineOptions): Promise<Check[]> {
  const from = localAddresses(interfaceNames);
  const there = new Set(from.map(({ name }) => name));
  const missing = interfaceNames.filter(name => !there.has(name)).map(hasNoAddress);
  if (from.length === 0 && missing.length === 0) {
    return [{ name: "dhcp", result: "skipped", detail: "no interface has an IPv4 address to ask from" }];
  }
  if (from.length === 0) return missing;
  try {
    const answers = await contain(DHCP_LISTEN_MS + PROBE_TIMEOUT_MS, signal =>
      findDhcpServers(from, DHCP_LISTEN_MS, signal),
    );
    const own = ownAddresses();
    const judged = [...there].map(name =>
      judgeDhcp(
        name,
        answers.filter(({ interfaceName }) => interfaceName === name),
        own,
        isProxy,
      ),
    );
    return [...judged, ...missing];
  } catch (error) {
    const reason = describeErrorChain(error);
    const detail = reason.includes("EACCES")
      ? "needs root: answers come to port 68"
      : `could not ask: ${reason}`;
    return [{ name: "dhcp", result: "skipped", detail }];
  }
}

/** What a machine on this interface's network would be told. */
function judgeDhcp(
  interfaceName: string,
  answers: readonly DhcpAnswer[],
  own: ReadonlySet<string>,
  isProxy: boolean,
): Check {
  const name = "dhcp";
  const givers = answers.filter(({ offeredAddress }) => offeredAddress !== NO_ADDRESS);
  const words = answers.map(
    ({ server, offeredAddress, bootFile }) =>
      `${server} (${own.has(server) ? "ours" : "another's"}) offers ${[offeredAddress, bootFile].filter(part => part !== "" && part !== NO_ADDRESS).join(" and ") || "nothing"}`,
  );
  const detail =
    answers.length === 0
      ? `no server answers on ${interfaceName}`
      : `on ${interfaceName}: ${words.join("; ")}`;
  const problem = (advice: string): Check => ({ name, result: "problem", detail, advice });
  if (answers.length === 0)
    return problem("Turn DHCP on for this network (`drp status` says why it is off).");
  if (givers.length > 1) {
    return problem(
      "Keep one that gives addresses, or set dhcp.mode: proxy; machines take whichever answer comes first.",
    );
  }
  if (!isProxy) return { name, result: "ok", detail };
  if (givers.length === 0)
    return problem("In mode proxy another server must give the addresses: none does here.");
  if (givers.some(({ server, bootFile }) => bootFile !== "" && !own.has(server))) {
    return problem(
      "Take the boot file (options 66 and 67) out of the other server: it hides the proxy's answer.",
    );
  }
  return { name, result: "ok", detail };
}

const NO_ADDRESS = "0.0.0.0";

function hasNoAddress(interfaceName: string): Check {
  return {
    name: "dhcp",
    result: "problem",
    detail: `interface ${interfaceName} is not there, is down or has no IPv4 address`,
    advice: "Bring it up and give it an address, or take it out of dhcp.interfaces.",
  };
}

async function checkTftp({ host, tftpPort }: ExamineOptions, file: string): Promise<Check> {
  const name = `tftp ${file}`;
  try {
    const { sizeBytes, durationMs } = await contain(PROBE_TIMEOUT_MS, signal =>
      fetchOverTftp(host, tftpPort, file, signal),
    );
    return {
      name,
      result: "ok",
      detail: `${sizeBytes} bytes from ${host}:${tftpPort} in ${durationMs.toFixed(0)} ms`,
    };
  } catch (error) {
    const detail = `${host}:${tftpPort}: ${describeErrorChain(error)}`;
    return {
      name,
      result: "problem",
      detail,
      advice: "Check that TFTP is on (`drp status`) and that no firewall drops UDP.",
    };
  }
}

async function checkBootHttp({ host, bootPort }: ExamineOptions, path: string): Promise<Check> {
  const name = `http ${path}`;
  const url = `http://${host}:${bootPort}/${path}`;
  try {
    const status = await statusOf(done => httpGet(url, done));
    if (status === 200) return { name, result: "ok", detail: url };
    const advice = status === 404 ? "Make the boot files with `npm run build`." : "Read the hub's log.";
    return { name, result: "problem", detail: `${url} answers ${status}`, advice };
  } catch (error) {
    const detail = `${url}: ${describeErrorChain(error)}`;
    return { name, result: "problem", detail, advice: "Check that boot HTTP is on: `drp status`." };
  }
}

type Get = (done: (answer: import("node:http").IncomingMessage) => void) => import("node:http").ClientRequest;

function statusOf(get: Get): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = get(answer => {
      resolve(answer.statusCode ?? 0);
      answer.destroy();
    });
    outgoing.setTimeout(PROBE_TIMEOUT_MS, () =>
      outgoing.destroy(new Error(`no answer within ${PROBE_TIMEOUT_MS / 1000} s`)),
    );
    outgoing.on("error", reject);
  });
}

function tryBind(port: number): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = createSocket("udp4");
    socket.on("error", error => {
      resolve("code" in error ? String(error.code) : error.message);
      socket.close();
    });
    socket.bind(port, () => {
      resolve(undefined);
      socket.close();
    });
  });
}

function ownAddresses(): ReadonlySet<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address)),
  );
}
