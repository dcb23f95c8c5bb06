import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreconditionError } from '../../api/errors.ts';
import { silentLog } from '../../api/wire/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { createMaintenance } from './maintenance.ts';
import { createMaintenanceMetrics } from './maintenance-metrics.ts';

test('the first round comes with jitter, and the next ones after the pause that a round gives', async () => {
  const { maintenance, pauses, tick } = stage(async () => 1000);
  maintenance.start();
  await tick();
  await tick();
  await tick();
  assert.deepEqual(pauses, [15_000, 1050, 1050]);
  await maintenance.stop();
});

test('a failed round is followed by another one, five minutes later', async () => {
  const { maintenance, pauses, tick, values } = stage(async () => {
    throw new PreconditionError('no API server');
  });
  maintenance.start();
  for (let count = 0; count < 3; count++) await tick();
  assert.deepEqual(pauses.slice(1), [315_000, 315_000]);
  assert.deepEqual(values(), [
    { name: 'cellar_maintenance_rounds_total', labels: [], value: 2 },
    { name: 'cellar_maintenance_failures_total', labels: ['precondition'], value: 2 },
  ]);
  await maintenance.stop();
});

test('stopping ends a pause and a round, and waits for its end', async () => {
  const { maintenance } = stage(async () => 1000);
  maintenance.start();
  await maintenance.stop();
  let ended = false;
  const other = stage(async (signal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    await new Promise((resolve) => setImmediate(resolve));
    ended = true;
    throw signal.reason;
  });
  other.maintenance.start();
  await other.tick();
  await new Promise((resolve) => setImmediate(resolve));
  await other.maintenance.stop();
  assert.equal(ended, true);
});

test('what was never started can be stopped', async () => {
  await stage(async () => 1).maintenance.stop();
});

/** Pauses end when the test says so. */
function stage(round: (signal: AbortSignal) => Promise<number>) {
  const pauses: number[] = [];
  let wake: (() => void) | undefined;
  let asked: (() => void) | undefined;
  const sleep = (ms: number, signal: AbortSignal) => {
    pauses.push(ms);
    asked?.();
    return new Promise<void>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      wake = resolve;
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  };
  const registry = new Metrics();
  const metrics = createMaintenanceMetrics(registry);
  const maintenance = createMaintenance({ round, log: silentLog(), metrics, sleep, random: () => 0.5 });
  /** Waits for the next pause, and ends it. */
  const tick = async () => {
    if (wake === undefined) {
      await new Promise<void>((resolve) => {
        asked = resolve;
      });
      await Promise.resolve();
    }
    const end = wake;
    wake = undefined;
    end?.();
  };
  return { maintenance, pauses, tick, values: () => registry.samples() };
}
