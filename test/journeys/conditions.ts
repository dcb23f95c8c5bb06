// Waiting for what other processes do: a condition is asked for again and again, and the limit is generous because it
// only decides how long a failing test takes.
import { setTimeout as delay } from 'node:timers/promises';
import type { Postgres } from '../postgres.ts';
import { tailOf } from '../process.ts';

export const LIMIT_MS = 300_000;
const TICK_MS = 50;

/** Waits until it holds; throws, saying what was awaited, when it never does. */
export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${LIMIT_MS / 1000} s in vain until ${what}`);
    await delay(TICK_MS);
  }
}

/** Waits for the end of a recovery. */
export async function untilPromoted(postgres: Postgres): Promise<void> {
  await until('the server is promoted', async () => !(await isInRecovery(postgres)));
}

/** Throws with the end of its log when the server has ended: a recovery that failed. */
export async function isInRecovery(postgres: Postgres): Promise<boolean> {
  const ended = () => postgres.process.result() !== undefined;
  if (ended()) throw new Error(`PostgreSQL has ended:\n${tailOf(postgres.process.logFile)}`);
  const rows = await postgres
    .query<{ recovering: boolean }>('select pg_is_in_recovery() as recovering')
    // One that ends between the two questions is told apart by the next one.
    .catch(() => []);
  return rows[0]?.recovering !== false;
}
