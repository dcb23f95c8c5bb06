// A server at which nothing happens any more: all of its backups bring back the same relations.
import { createOrders, insertOrders } from '../demo/workload.ts';
import { type Stand, type StandInstance, startInstance } from '../stand.ts';

/** Starts it with so many rows; its sidecar is still to be started. */
export async function startIdleInstance(stand: Stand, rows: number): Promise<StandInstance> {
  const instance = await startInstance(stand, { settings: { autovacuum: 'off' } });
  const client = await instance.postgres.connect();
  await createOrders(client);
  await insertOrders(client, rows);
  await client.query('vacuum freeze');
  await client.query('checkpoint');
  await client.end();
  return instance;
}
