// A TCP proxy in front of a server that stops forwarding in the middle of an upload when it is told to: for tests that
// kill or cut a client at a certain moment.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type StallingProxy = {
  port: number;
  /** Lets that many more bytes of each connection through towards the server, then none; settles when one is stopped. */
  stallAfter(bytes: number): Promise<void>;
  /** Cuts the stopped connections; from now on everything passes. */
  release(): void;
  stop(): Promise<void>;
};

/** Starts it on a free port of loopback. */
export async function startStallingProxy(targetPort: number): Promise<StallingProxy> {
  const sockets = new Set<Socket>();
  const stalled = new Set<Socket>();
  let stall: { bytes: number; passed: Map<Socket, number>; reached: () => void } | undefined;

  const server = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    upstream.pipe(client);
    client.on('data', (chunk) => {
      if (stalled.has(client)) return;
      if (stall !== undefined) {
        const passed = (stall.passed.get(client) ?? 0) + chunk.length;
        stall.passed.set(client, passed);
        if (passed > stall.bytes) {
          stalled.add(client);
          client.pause();
          stall.reached();
          return;
        }
      }
      if (!upstream.write(chunk)) {
        client.pause();
        upstream.once('drain', () => client.resume());
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    stallAfter: (bytes) =>
      new Promise((resolve) => {
        stall = { bytes, passed: new Map(), reached: resolve };
      }),
    release() {
      stall = undefined;
      for (const socket of stalled) socket.destroy();
      stalled.clear();
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
