// A TCP proxy in front of a store that stands still at one exact byte, so that a client can be killed there: in the middle
// of what it sends, or with an answer on its way that it never sees.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Direction = 'towards the store' | 'towards the client';

export type FreezingProxy = {
  endpoint: string;
  /** Lets so many more bytes pass in that direction, over all connections, then nothing in any; settles when it stands. */
  freezeAfter(bytes: number, direction: Direction): Promise<void>;
  /** Forgets the point if it has not been reached. Cuts every connection; later ones pass. */
  thaw(): void;
  stop(): Promise<void>;
};

/** Starts it on a free port of loopback in front of `http://host:port`. */
export async function startFreezingProxy(target: string): Promise<FreezingProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let point: { left: number; direction: Direction; reached: () => void } | undefined;
  let frozen = false;

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    forward(client, upstream, 'towards the store');
    forward(upstream, client, 'towards the client');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  function forward(from: Socket, to: Socket, direction: Direction): void {
    sockets.add(from);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      sockets.delete(from);
      // While it stands, the store must not learn that the client has gone: what it has got stays half.
      if (!frozen) to.destroy();
    });
    from.on('data', (chunk) => {
      const passing = frozen ? chunk.subarray(0, 0) : chunk.subarray(0, allowance(direction, chunk.length));
      if (passing.length > 0 && !to.write(passing)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
  }

  /** How many of so many bytes pass; freezes when that is not all. */
  function allowance(direction: Direction, bytes: number): number {
    if (point === undefined || point.direction !== direction) return bytes;
    const passing = Math.min(bytes, point.left);
    point.left -= passing;
    if (passing < bytes) {
      frozen = true;
      point.reached();
      point = undefined;
    }
    return passing;
  }

  function cutAll(): void {
    for (const socket of sockets) socket.destroy();
  }

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    freezeAfter: (bytes, direction) =>
      new Promise((reached) => {
        point = { left: bytes, direction, reached };
      }),
    thaw() {
      point = undefined;
      cutAll();
      frozen = false;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cutAll();
      }),
  };
}
