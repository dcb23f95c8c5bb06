// Probes of the kubelet, and the metrics of this process (objectstore-and-injection.md §9.1).
import { createServer } from 'node:http';
import { PreconditionError } from '../api/errors.ts';
import type { Log } from '../api/wire/log.ts';
import type { ListenAddress } from './flags.ts';
import type { Vitals } from './vitals.ts';

export type HealthOptions = { vitals: Pick<Vitals, 'notReady' | 'metrics'>; log: Log };

/**
 * Answers `/healthz` as long as the process lives, `/readyz` with 503 and the reason while it is not ready, and `/metrics`.
 * Throws PreconditionError when the address cannot be bound.
 */
export async function startHealthServer(
  address: ListenAddress,
  { vitals, log }: HealthOptions,
): Promise<{ port: number; stop(): Promise<void> }> {
  const answers: Record<string, () => [number, string]> = {
    '/healthz': () => [200, 'ok'],
    '/readyz': () => {
      const reason = vitals.notReady();
      return reason === undefined ? [200, 'ok'] : [503, reason];
    },
    '/metrics': () => [200, vitals.metrics()],
  };
  const server = createServer((request, response) => {
    const [status, text] = answers[request.url ?? '']?.() ?? [404, 'not found'];
    response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4' }).end(text);
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
