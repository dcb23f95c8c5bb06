// Whatever arrives, both services of the operator process answer with a patch that applies or with a refusal that says
// field, value and advice; the process goes on serving and its memory stays flat. CELLAR_ALL=1: 100,000 requests.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client, credentials, status } from '@grpc/grpc-js';
import type { Pod } from '../../api/kube.ts';
import { SIDECAR_CONTAINER } from '../../api/names.ts';
import {
  OperatorLifecycleResponse,
  OperatorLifecycleService,
  OperatorOperationType_Type as Verb,
} from '../../api/proto/gen/operator_lifecycle.ts';
import { ReconcilerHooksService } from '../../api/proto/gen/reconciler.ts';
import { applyStrictly } from '../operator-double.ts';
import type { HeapAnswer } from './hook-server.ts';
import { type Call, type MalformedRequest, malformedRequest } from './malformed.ts';
import { CLUSTER, POD } from './valid-documents.ts';

const REQUESTS = process.env.CELLAR_ALL === '1' ? 100_000 : 5_000;
/** Until here caches fill and the compiler warms up. */
const WARM_UP = 2_000;
const AT_A_TIME = 16;
/** A leak of 1 KiB for each request would be 97 MiB in the long form and 4.9 in the short one. */
const HEAP_LIMIT_MIB = 2;
/** Buffers of the last requests, which may be big ones. */
const EXTERNAL_LIMIT_MIB = 16;

const PATHS: Record<Call, string> = {
  LifecycleHook: OperatorLifecycleService.lifecycleHook.path,
  Pre: ReconcilerHooksService.pre.path,
  Post: ReconcilerHooksService.post.path,
};

test(`${REQUESTS} malformed requests: every answer is a whole patch or a refusal that helps, and memory stays flat`, async (t) => {
  const server = await startHookServer(t);
  await send(server, 0, WARM_UP);
  const before = await server.heap();
  const counts = await send(server, WARM_UP, WARM_UP + REQUESTS);
  const after = await server.heap();

  assert.equal(after.errorLines, 0, 'no failure was unexpected');
  const grown = after.heapMiB - before.heapMiB;
  assert.ok(grown < HEAP_LIMIT_MIB, `the heap grew by ${grown.toFixed(1)} MiB`);
  const external = after.externalMiB - before.externalMiB;
  assert.ok(external < EXTERNAL_LIMIT_MIB, `memory outside of the heap grew by ${external.toFixed(1)} MiB`);
  assert.ok(counts.refused > REQUESTS / 5 && counts.patched > REQUESTS / 50, JSON.stringify(counts));

  const valid = {
    clusterDefinition: json(CLUSTER),
    objectDefinition: json(POD),
    operationType: { type: Verb.TYPE_CREATE },
  };
  const bytes = OperatorLifecycleService.lifecycleHook.requestSerialize(valid);
  assert.equal((await ask(server.client, 'LifecycleHook', bytes)).code, status.OK, 'it serves as before');
});

test('a message that is no protobuf is refused like any other input, not as a failure of ours', async (t) => {
  const { client } = await startHookServer(t);
  for (const call of ['LifecycleHook', 'Pre'] as const) {
    const { code, details } = await ask(client, call, Buffer.from([0x0a, 0xff, 0xff]));
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.match(details, /^request: found "3 bytes": must be the protobuf message of this call/);
  }
});

test('a document that is nested deeper than anybody reads is refused, wherever its nest is', async (t) => {
  const { client } = await startHookServer(t);
  for (const depth of [10_000, 200_000]) {
    const nest = `${'{"a":['.repeat(depth / 2)}1${']}'.repeat(depth / 2)}`;
    const deep = Buffer.from(JSON.stringify({ ...POD, status: 'DEEP' }).replace('"DEEP"', nest));
    const request = {
      clusterDefinition: json(CLUSTER),
      objectDefinition: deep,
      operationType: { type: Verb.TYPE_CREATE },
    };
    const bytes = OperatorLifecycleService.lifecycleHook.requestSerialize(request);
    const { code, details } = await ask(client, 'LifecycleHook', bytes);
    assert.equal(code, status.INVALID_ARGUMENT, details);
    assert.match(details, /^object_definition: found ".* bytes": must not be nested deeper than 1000 levels$/);
  }
  const shallow = json({ ...POD, metadata: { ...POD.metadata, annotations: { json: '[{'.repeat(2000) } } });
  const request = {
    clusterDefinition: json(CLUSTER),
    objectDefinition: shallow,
    operationType: { type: Verb.TYPE_CREATE },
  };
  const bytes = OperatorLifecycleService.lifecycleHook.requestSerialize(request);
  assert.equal((await ask(client, 'LifecycleHook', bytes)).code, status.OK, 'brackets in a string are no nest');
});

type Answer = { code: status; details: string; bytes: Buffer };
type Counts = { refused: number; patched: number; unchanged: number };

/** Sends the requests of these numbers, some at a time, and judges every answer. */
async function send({ client }: { client: Client }, from: number, until: number): Promise<Counts> {
  const counts: Counts = { refused: 0, patched: 0, unchanged: 0 };
  let next = from;
  const lane = async (): Promise<void> => {
    while (next < until) {
      const seed = next;
      next += 1;
      const request = malformedRequest(seed);
      const answer = await ask(client, request.call, request.bytes);
      try {
        counts[judge(request, answer)] += 1;
      } catch (error) {
        throw new Error(
          `request ${seed}, ${request.call}: ${request.what}: ${status[answer.code]}: ${answer.details}`,
          {
            cause: error,
          },
        );
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, lane));
  return counts;
}

/** Throws unless the answer is one that the operator can go on with, or that a person can. */
function judge(request: MalformedRequest, { code, details, bytes }: Answer): keyof Counts {
  if (code !== status.OK) {
    assert.ok(code === status.INVALID_ARGUMENT || code === status.FAILED_PRECONDITION, 'a refusal of the input');
    const advice =
      code === status.INVALID_ARGUMENT ? /^.{1,500}?: (missing|found .{1,200}): .+[^…]$/s : /; create it, or correct/;
    assert.ok(advice.test(details), 'field, value and advice');
    assert.ok(details.length < 1500);
    return 'refused';
  }
  if (request.call !== 'LifecycleHook') return 'unchanged';
  const { jsonPatch } = OperatorLifecycleResponse.decode(bytes);
  if (jsonPatch.length === 0) return 'unchanged';
  const object: Pod & { spec: { template?: Pod } } = JSON.parse(request.object.toString('utf8'));
  const patched = applyStrictly(object, JSON.parse(jsonPatch.toString('utf8')));
  const spec = patched.kind === 'Job' ? patched.spec.template?.spec : patched.spec;
  const sidecar = spec?.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER);
  assert.deepEqual([sidecar?.restartPolicy, sidecar?.image], ['Always', 'example.test/sidecar:1']);
  assert.ok(sidecar?.env?.every(({ name }) => typeof name === 'string' && name !== ''));
  return 'patched';
}

function ask(client: Client, call: Call, message: Buffer): Promise<Answer> {
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest(PATHS[call], same, same, message, (error, bytes = Buffer.alloc(0)) => {
      resolve({ code: error?.code ?? status.OK, details: error?.details ?? '', bytes });
    });
  });
}

async function startHookServer(t: TestContext) {
  const child = fork(join(import.meta.dirname, 'hook-server.ts'), { execArgv: ['--expose-gc'] });
  t.after(() => child.disconnect());
  const [{ address }]: [{ address: string }] = (await once(child, 'message')) as [{ address: string }];
  const client = new Client(address, credentials.createInsecure());
  t.after(() => client.close());
  return {
    client,
    async heap(): Promise<HeapAnswer> {
      child.send('heap');
      const [answer] = (await once(child, 'message')) as [HeapAnswer];
      return answer;
    },
  };
}

function json(document: object): Buffer {
  return Buffer.from(JSON.stringify(document));
}
