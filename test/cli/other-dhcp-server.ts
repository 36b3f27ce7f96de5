/** Somebody else's DHCP server on the same wire: npm's `dhcp`, which shares no code with ours. */
import dhcp from "dhcp";

const server = dhcp.createServer({
  range: ["10.9.0.200", "10.9.0.250"],
  netmask: "255.255.255.0",
  router: ["10.9.0.2"],
  dns: ["10.9.0.2"],
  broadcast: "10.9.0.255",
  server: "10.9.0.2",
});
server.on("error", () => undefined);
server.on("listening", () => process.stdout.write("listening\n"));
server.listen();
