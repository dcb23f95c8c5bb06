// Step 6: more rows, a noted second, then a DROP TABLE; PostgreSQL is stopped and its data folder removed.
import { rm } from 'node:fs/promises';
import type { LocalProcess } from '../process.ts';
import type { Instance } from './parts.ts';
import { mebibytes, type Step } from './report.ts';
import { type Fingerprint, fingerprint, insertOrders } from './workload.ts';

export type Disaster = {
  /** The second to recover to, RFC 3339. */
  targetTime: string;
  before: Fingerprint;
  /** Peak memory of the instance's sidecar, bytes. */
  sidecarPeakBytes: number;
};

const MORE_ROWS = 5_000;
const LATE_ROWS = 1_000;

/** Lets it happen, in the order in which a Pod goes: PostgreSQL archives its last segments, then the sidecar stops. */
export async function haveDisaster(step: Step, instance: Instance, sidecar: LocalProcess): Promise<Disaster> {
  const { postgres } = instance;
  const client = await postgres.connect();
  let before: Fingerprint;
  let targetTime: string;
  try {
    await insertOrders(client, MORE_ROWS);
    before = await fingerprint(postgres);
    targetTime = await nextSecond(client);
    step.say(`noted          ${targetTime}: ${before.rows} orders, checksum ${before.checksum}`);
    await insertOrders(client, LATE_ROWS);
    await client.query('drop table orders');
    step.say(`after it       ${LATE_ROWS} more orders, then DROP TABLE orders`);
  } finally {
    await client.end();
  }
  await postgres.stop();
  const sidecarPeakBytes = sidecar.peakMemoryBytes() ?? 0;
  await sidecar.stop();
  await rm(instance.pgdata, { recursive: true });
  step.say(
    `lost           PostgreSQL stopped, ${instance.pgdata} removed (sidecar peak ${mebibytes(sidecarPeakBytes)})`,
  );
  return { targetTime, before, sidecarPeakBytes };
}

/** Waits for the next whole second to pass on the server's clock and returns it: everything after it is later. */
async function nextSecond(client: { query(sql: string): Promise<{ rows: { target: string }[] }> }): Promise<string> {
  const { rows } = await client.query(
    `with noted as materialized (select date_trunc('second', clock_timestamp()) + interval '1 second' as target)
     select to_char(target at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as target,
            pg_sleep(extract(epoch from (target - clock_timestamp())) + 0.01) from noted`,
  );
  return rows[0]?.target ?? '';
}
