// Probes of the kubelet: plain pings, as in the Go plugin (objectstore-and-injection.md §9.1).
import { createServer } from 'node:http';
import { PreconditionError } from '../api/errors.ts';
import type { Log } from '../api/wire/log.ts';
import type { ListenAddress } from './flags.ts';

/** Answers `/healthz` and `/readyz`. Throws PreconditionError when the address cannot be bound. */
export async function startHealthServer(
  address: ListenAddress,
  log: Log,
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    const known = request.url === '/healthz' || request.url === '/readyz';
    response.writeHead(known ? 200 : 404, { 'content-type': 'text/plain' }).end(known ? 'ok' : 'not found');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new PreconditionError(`health probes cannot listen: ${error.message}`, { cause: error }));
    });
    server.listen(address.port, address.host, resolve);
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
  log.info({ host: address.host, port }, 'health probes are answered');
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
