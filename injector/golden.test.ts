// Golden shapes: golden/<name>.json holds an input and the whole answer. Renew the answers, then read the difference:
//   UPDATE_GOLDEN=1 node_modules/.bin/node --test injector/golden.test.ts
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { applyPatch } from 'jsonpatch';
import type { Cluster } from '../api/kube.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import { isJob, type Workload } from './decide.ts';
import { ARGS_DIGEST_VARIABLE } from './environment.ts';
import { inject } from './inject.ts';
import { jsonPatch, type Operation } from './patch.ts';
import { findSidecar } from './pod-spec.ts';

type Golden = {
  title: string;
  input: { sidecarImage: string; object: Workload; cluster: Cluster; stores: ObjectStore[] };
  answer: { outcome: string; code: string; sentence: string; patch: Operation[] };
};

const FOLDER = join(import.meta.dirname, 'golden');
/** Orders of keys and stores for each shape. */
const SHUFFLES = 50;
const names = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));

for (const name of names) {
  const golden = readGolden(name);

  test(`golden ${name}: ${golden.title}`, () => {
    const answer = answerOf(golden.input);
    if (process.env.UPDATE_GOLDEN) {
      writeFileSync(join(FOLDER, name), `${JSON.stringify({ ...golden, answer }, null, 2)}\n`);
      return;
    }
    assert.deepEqual(answer, golden.answer, 'see the first lines of golden.test.ts for how to renew');
  });

  test(`golden ${name}: the patch makes exactly the injected object, and a second injection changes nothing`, () => {
    const { input } = golden;
    const { object } = injectInto(input.object, input);
    const patched = structuredClone(input.object);
    assert.deepEqual(
      applyPatch(patched, jsonPatch(input.object, object)).filter((error) => error !== null),
      [],
    );
    assert.deepEqual(patched, object);
    assert.deepEqual(jsonPatch(patched, injectInto(patched, input).object), []);
  });
}

test('the worked example of the specification comes out as it says, but for the digest of the arguments', () => {
  const { input } = readGolden('worked-example.json');
  const wanted = structuredClone(input.object);
  applyPatch(wanted, JSON.parse(readFileSync(join(FOLDER, 'worked-example.patch'), 'utf8')));
  const { object } = injectInto(structuredClone(input.object), input);
  assert.ok(!isJob(object));
  const sidecar = findSidecar(object.spec);
  assert.ok(sidecar?.env);
  const env = sidecar.env.filter(({ name }) => name !== ARGS_DIGEST_VARIABLE);
  assert.equal(env.length, sidecar.env.length - 1);
  sidecar.env = env;
  assert.deepEqual(object, wanted);
});

test('equal documents give the same patch to the byte, in whatever order their keys and stores come', () => {
  for (const name of names) {
    const { input } = readGolden(name);
    const expected = JSON.stringify(answerOf(input));
    for (let seed = 1; seed <= SHUFFLES; seed += 1) {
      const random = generator(seed);
      const shuffledInput = shuffled(input, random) as Golden['input'];
      const stores = shuffledInput.stores.toSorted(() => random() - 0.5);
      assert.equal(JSON.stringify(answerOf({ ...shuffledInput, stores })), expected, `${name}, seed ${seed}`);
    }
  }
  assert.ok(names.length * SHUFFLES >= 1_000);
});

function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
}

function injectInto(object: Workload, input: Golden['input']) {
  const stores = new Map(input.stores.map((store) => [store.metadata.name, store]));
  return inject(object, input.cluster, stores, { sidecarImage: input.sidecarImage });
}

function answerOf(input: Golden['input']): Golden['answer'] {
  const { outcome, code, sentence, object } = injectInto(input.object, input);
  return JSON.parse(JSON.stringify({ outcome, code, sentence, patch: jsonPatch(input.object, object) }));
}

/** A copy whose objects list their keys in another order; lists keep theirs, which has a meaning. */
function shuffled(value: unknown, random: () => number): unknown {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, random));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => ({ rank: random(), key, item: shuffled(item, random) }));
  return Object.fromEntries(entries.sort((a, b) => a.rank - b.rank).map(({ key, item }) => [key, item]));
}

/** mulberry32: a seed that failed can be run again. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
