// What an adapter itself costs: the CPU time of its process for a body of 16 MiB, beside that of S3 in the same run.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Cleanup } from '../demo/cleanup.ts';
import { median } from '../demo/report.ts';
import type { ProviderPlace } from './provider-place.ts';
import type { Report } from './report.ts';

export type AdapterTask = { verb: 'put' | 'get'; count: number };
/** CPU time of each call; none when the process is ready to be asked. */
export type AdapterMessage = { cpuMs?: number; problem?: string };

type Adapter = { place: ProviderPlace; measure(task: AdapterTask): Promise<number> };

const MOST_TIMES_S3 = 1.3;
/** A garbage collection falls on some calls and not on others: a figure is of several. */
const BATCH = 4;
const WARM_UP = 3;

/** Measures both verbs of each adapter, in turns; the first place is what the others are compared with. */
export async function measureAdapters(
  places: readonly ProviderPlace[],
  { repeats, report, cleanup }: { repeats: number; report: Report; cleanup: Cleanup },
): Promise<void> {
  const adapters: Adapter[] = [];
  for (const place of places) adapters.push(await startAdapter(place, cleanup));
  for (const verb of ['put', 'get'] as const) {
    const figures = adapters.map((): number[] => []);
    for (let round = -WARM_UP; round < repeats; round += 1) {
      for (const [at, adapter] of adapters.entries()) {
        const cpuMs = await adapter.measure({ verb, count: BATCH });
        if (round >= 0) figures[at]?.push(cpuMs);
      }
    }
    const [first = 0, ...others] = figures.map(median);
    const [s3, ...rest] = adapters;
    report.add({ name: `adapter, ${s3?.place.provider}, ${verb} of 16 MiB, CPU`, value: first, unit: 'ms' });
    for (const [at, { place }] of rest.entries()) {
      const name = `adapter, ${place.provider}, ${verb} of 16 MiB, CPU`;
      const goal = { times: { atMost: MOST_TIMES_S3 } };
      report.add({ name, value: others[at] ?? 0, unit: 'ms', floor: first, goal, note: 'the floor is S3' });
    }
  }
}

async function startAdapter(place: ProviderPlace, cleanup: Cleanup): Promise<Adapter> {
  const env = { ...process.env, ADAPTER_PLACE: JSON.stringify(place) };
  const child = fork(join(import.meta.dirname, 'adapter-child.ts'), { env });
  const ended = once(child, 'exit');
  cleanup.add(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const died = ended.then((): [AdapterMessage] => [{ problem: 'the process has ended' }]);
  const next = async (): Promise<AdapterMessage> => {
    const [message] = await Promise.race([once(child, 'message') as Promise<[AdapterMessage]>, died]);
    if (message.problem !== undefined) throw new Error(`adapter of ${place.provider}: ${message.problem}`);
    return message;
  };
  await next();
  return {
    place,
    async measure(task) {
      const answered = next();
      child.send(task);
      return (await answered).cpuMs ?? Number.NaN;
    },
  };
}
