// The process in which one adapter is measured: warm, with that adapter in it and nothing else.
import type { AdapterMessage, AdapterTask } from './adapter.ts';
import { openAdapter } from './open-adapter.ts';

const BODY_BYTES = 16 * 1024 * 1024;
const KEY = 'adapter/body';

const storage = await openAdapter(JSON.parse(process.env.ADAPTER_PLACE ?? '{}'));
const body = Buffer.alloc(BODY_BYTES, 'a body that nobody packs ');
const verbs: Record<AdapterTask['verb'], () => Promise<void>> = {
  put: async () => void (await storage.put(KEY, body)),
  async get() {
    const got = await storage.get(KEY);
    if (got === undefined) throw new Error('what was put is not there');
    let sizeBytes = 0;
    for await (const chunk of got.body as AsyncIterable<Buffer>) sizeBytes += chunk.length;
    if (sizeBytes !== BODY_BYTES) throw new Error(`${sizeBytes} bytes came back`);
  },
};

process.on('SIGINT', () => {});
process.on('message', (task: AdapterTask) => {
  perform(task).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ problem: error instanceof Error ? error.stack : String(error) }),
  );
});
process.send?.({} satisfies AdapterMessage);

async function perform({ verb, count }: AdapterTask): Promise<AdapterMessage> {
  const cpu = process.cpuUsage();
  for (let at = 0; at < count; at += 1) await verbs[verb]();
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMs: (user + system) / 1000 / count };
}
