/**
 * A datagram socket inside a network namespace, for a test outside it: each line of stdin is "ADDRESS PORT HEX" and is sent;
 * each datagram that comes in is a line of stdout, in hexadecimal. "ready" is the first line. Ends with its stdin.
 *
 * Arguments: the port to be bound.
 */
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";

const socket = createSocket("udp4");
socket.on("message", bytes => process.stdout.write(`${bytes.toString("hex")}\n`));
socket.bind(Number(process.argv[2]), () => {
  socket.setBroadcast(true);
  process.stdout.write("ready\n");
});
for await (const line of createInterface(process.stdin)) {
  const [address, port, hex] = line.split(" ");
  socket.send(Buffer.from(hex, "hex"), Number(port), address);
}
socket.close();
