// One leader at a time, whoever dies, stalls or stops.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PreconditionError } from '../api/errors.ts';
import { silentLog } from '../api/wire/log.ts';
import type { Running } from '../api/wire/process.ts';
import { type Lease, type LeasePort, takePart } from './lease.ts';

/** The clock stands still unless a test moves it; only the pause between two tries is real. */
const TIMES = { durationMs: 15_000, renewLimitMs: 10_000, retryMs: 1 };

test('of two replicas one leads, and hands over when it stops', async (t) => {
  const world = createWorld(t);
  const a = world.replica('a');
  await world.until(() => world.leaders.join() === 'a');
  world.replica('b');
  await world.tries(20);
  assert.deepEqual(world.leaders, ['a']);
  await a.stop();
  assert.deepEqual(world.leaders, [], 'the work ended before the lease was given back');
  await world.until(() => world.leaders.join() === 'b');
  assert.equal(world.lease()?.spec.leaseTransitions, 1);
});

test('a leader that died is followed after the lease has run out, by our own clock, and not before', async (t) => {
  const world = createWorld(t);
  world.stored = leaseOf('dead', '2001-01-01T00:00:00.000000Z');
  world.replica('b');
  await world.tries(20);
  world.nowMs = 14_999;
  await world.tries(20);
  assert.deepEqual(world.leaders, [], 'however old its time stamp is');
  world.nowMs = 15_000;
  await world.until(() => world.leaders.join() === 'b');
});

test('a leader that renews is never followed', async (t) => {
  const world = createWorld(t);
  world.stored = leaseOf('alive', '0');
  world.replica('b');
  for (let step = 1; step <= 10; step += 1) {
    await world.tries(3);
    world.nowMs += 10_000;
    world.stored = leaseOf('alive', String(step));
  }
  await world.tries(3);
  assert.deepEqual(world.leaders, []);
});

test('a leader that cannot renew for ten seconds stops its work, and leads again when it can', async (t) => {
  const world = createWorld(t);
  world.replica('a');
  await world.until(() => world.leaders.join() === 'a');
  world.failure = new Error('no route');
  world.nowMs = 10_000;
  await world.tries(20);
  assert.deepEqual(world.leaders, ['a'], 'until then nobody else may begin');
  world.nowMs = 10_001;
  await world.until(() => world.leaders.length === 0);
  world.failure = undefined;
  await world.until(() => world.leaders.join() === 'a');
});

test('who loses the race for a lease does not lead', async (t) => {
  const world = createWorld(t);
  world.conflicts = 1;
  world.replica('a');
  await world.until(() => world.leaders.join() === 'a');
  assert.equal(world.conflicts, 0, 'the first try collided');
});

test('where leases are forbidden nobody leads, and one line says so', async (t) => {
  const world = createWorld(t);
  world.failure = new PreconditionError('leases is forbidden');
  world.replica('a');
  await world.tries(20);
  assert.deepEqual(world.leaders, []);
  assert.equal(world.lines.length, 1);
  assert.match(world.lines[0] ?? '', /leases is forbidden/);
});

function createWorld(t: TestContext) {
  let version = 0;
  let asked = 0;
  const replicas: Running[] = [];
  const world = {
    stored: undefined as Lease | undefined,
    failure: undefined as Error | undefined,
    conflicts: 0,
    nowMs: 0,
    leaders: [] as string[],
    lines: [] as string[],
    lease: () => world.stored,
    replica(identity: string): Running {
      const lead = (): Running => {
        world.leaders.push(identity);
        return {
          async stop() {
            world.leaders.splice(world.leaders.indexOf(identity), 1);
          },
        };
      };
      const log = { ...silentLog(), info: (...args: unknown[]) => void world.lines.push(String(args.at(-1))) };
      const place = { port, namespace: 'cnpg-system', name: 'lease' };
      const running = takePart({ ...place, identity, log, lead, times: TIMES, now: () => world.nowMs });
      replicas.push(running);
      return running;
    },
    async tries(count: number): Promise<void> {
      const enough = asked + count;
      await world.until(() => asked >= enough);
    },
    async until(holds: () => boolean): Promise<void> {
      while (!holds()) await delay(1);
    },
  };
  const port: LeasePort = {
    async find() {
      asked += 1;
      if (world.failure !== undefined) throw world.failure;
      return structuredClone(world.stored);
    },
    create: async (lease) => store(lease, world.stored === undefined),
    replace: async (lease) => store(lease, lease.metadata.resourceVersion === world.stored?.metadata.resourceVersion),
  };
  function store(lease: Lease, isCurrent: boolean): boolean {
    if (!isCurrent) return false;
    if (world.conflicts > 0) {
      world.conflicts -= 1;
      return false;
    }
    version += 1;
    world.stored = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(version) } };
    return true;
  }
  t.after(() => {
    world.failure = undefined;
    return Promise.all(replicas.map((replica) => replica.stop()));
  });
  return world;
}

function leaseOf(holderIdentity: string, renewTime: string): Lease {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'lease', namespace: 'cnpg-system', resourceVersion: 'x' },
    spec: { holderIdentity, leaseDurationSeconds: 15, renewTime, leaseTransitions: 0 },
  };
}
