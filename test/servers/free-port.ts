// For programs that take no port 0. What was free a moment ago may be taken by somebody else: callers try again.
import { type AddressInfo, createServer } from 'node:net';

/** A port of an address on which nobody listens now. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
