/** What network-boot clients hear from us where another server gives the addresses; kept in test/fixtures/exchanges/proxy. */
import { describeMessages } from "./helpers/describe-messages.ts";
import { PROXY_CLIENTS } from "./proxy-clients.ts";

describeMessages("clients of a ProxyDHCP server", "proxy", PROXY_CLIENTS, { mode: "proxy" });
