// The two services of the operator process in a child process, on a unix socket, with a cluster of one ObjectStore behind
// them. Asked `heap`, it collects garbage and says what is left. Ends when its parent does.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createEventWriter } from '../../api/wire/events.ts';
import { healthService, startGrpcServer } from '../../api/wire/grpc.ts';
import { createLog } from '../../api/wire/log.ts';
import { lifecycleService } from '../../injector/lifecycle.ts';
import { cacheReads, MissingObjectError } from '../../injector/reads.ts';
import { reconcilerService } from '../../injector/reconciler.ts';
import { makeShortFolder } from '../unprivileged.ts';
import { STORE } from './valid-documents.ts';

export type HeapAnswer = { heapMiB: number; externalMiB: number; errorLines: number };

const MIB = 1024 * 1024;

let errorLines = 0;
// What a process of ours writes as an error is a failure that it did not expect.
const log = createLog({
  level: 'info',
  destination: {
    write(line) {
      if (JSON.parse(line).level !== 'error') return;
      errorLines += 1;
      console.error(line);
    },
  },
});
const reads = cacheReads({
  async objectStore(namespace, name) {
    if (namespace === STORE.metadata.namespace && name === STORE.metadata.name) return STORE;
    throw new MissingObjectError('ObjectStore', namespace, name);
  },
  cluster: async (namespace, name) => Promise.reject(new MissingObjectError('Cluster', namespace, name)),
});
const access = { find: async () => undefined, create: async () => true, replace: async () => true };
const port = { create: async () => {}, repeat: async () => {}, isForbidden: () => false };
const events = createEventWriter({ port, instance: 'double', log });

const folder = await makeShortFolder('cellar-hooks-');
const server = await startGrpcServer({
  services: [
    lifecycleService({ reads, settings: { sidecarImage: 'example.test/sidecar:1' }, log }),
    reconcilerService({ reads, access, events, version: '0.0.0', log }),
    healthService(),
  ],
  address: { socket: join(folder, 'socket') },
  log,
});

process.once('disconnect', async () => {
  await server.stop(0);
  await rm(folder, { recursive: true, force: true });
});
process.on('message', async () => {
  // What the streams of the last calls hold is let go of in later turns.
  for (let round = 0; round < 4; round += 1) {
    await delay(50);
    globalThis.gc?.();
  }
  const { heapUsed, external } = process.memoryUsage();
  const answer: HeapAnswer = { heapMiB: heapUsed / MIB, externalMiB: external / MIB, errorLines };
  process.send?.(answer);
});
process.send?.({ address: server.address });
