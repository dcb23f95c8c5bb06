// Properties of what both services make of input that nobody foresaw, without a server in between.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvalidInputError, PreconditionError } from '../api/errors.ts';
import type { Cluster } from '../api/kube.ts';
import { CLUSTER, JOB, POD, STORE } from '../test/operator/valid-documents.ts';
import { applyStrictly } from '../test/operator-double.ts';
import { parseCluster, parseWorkload } from './documents.ts';
import { inject, storesNeeded } from './inject.ts';
import { jsonPatch } from './patch.ts';
import { roleBindingOf, roleOf } from './role.ts';

const RUNS = { numRuns: process.env.CELLAR_ALL === '1' ? 20_000 : 1000 };
const STORES = new Map([[STORE.metadata.name, STORE]]);
const SETTINGS = { sidecarImage: 'example.test/sidecar:1' };

test('with any value in any place of any document: the patch makes exactly the injected object, or the input is refused', () => {
  const documents = fc.constantFrom<[object, object]>([CLUSTER, POD], [CLUSTER, JOB]);
  fc.assert(
    fc.property(documents, fc.nat(), fc.boolean(), fc.jsonValue(), ([cluster, object], place, inCluster, value) => {
      const sentCluster = inCluster ? withValueAt(cluster, place, value) : cluster;
      const sentObject = inCluster ? object : withValueAt(object, place, value);
      refusedOr(() => {
        const parsed = parseWorkload(encode(sentObject));
        const injected = inject(parsed, parseCluster(encode(sentCluster)), STORES, SETTINGS);
        const patched = applyStrictly(sentObject, jsonPatch(parsed, injected.object));
        assert.deepEqual(patched, injected.object);
      });
    }),
    RUNS,
  );
});

test('fields that we do not know survive, wherever they are and whatever they hold', () => {
  const value = fc.jsonValue();
  fc.assert(
    fc.property(fc.constantFrom(POD, JOB), fc.nat(), value, (object, place, unknown) => {
      const sent = withUnknownField(object, place, unknown);
      const parsed = parseWorkload(encode(sent));
      const patched = applyStrictly(sent, jsonPatch(parsed, inject(parsed, CLUSTER, STORES, SETTINGS).object));
      assert.deepEqual(findUnknown(patched), [sentAsJson(unknown)]);
    }),
    RUNS,
  );
});

test('unknown plugin parameters change nothing, and a store is asked for by the very name that was written', () => {
  const [, plugin] = CLUSTER.spec.plugins ?? [];
  const withParameters = (parameters: Record<string, string>): Cluster => {
    const spec = { plugins: [{ name: plugin?.name ?? '', parameters }] };
    return parseCluster(encode({ ...CLUSTER, spec }));
  };
  const known = { barmanObjectName: STORE.metadata.name };
  const plain = inject(POD, withParameters(known), STORES, SETTINGS);
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string()), fc.string(), (unknown, store) => {
      const { barmanObjectName: _store, serverName: _server, ...others } = unknown;
      assert.deepEqual(inject(POD, withParameters({ ...others, ...known }), STORES, SETTINGS), plain);
      const needed = storesNeeded(POD, withParameters({ ...others, barmanObjectName: store }));
      assert.deepEqual(needed, store === '' ? [] : [store]);
    }),
    RUNS,
  );
});

test('with any value in any place of a Cluster: its Role names objects in every rule, or the input is refused', () => {
  fc.assert(
    fc.property(fc.nat(), fc.jsonValue(), (place, value) => {
      refusedOr(() => {
        const cluster = parseCluster(encode(withValueAt(CLUSTER, place, value)));
        const role = roleOf(cluster, [STORE], '1.0.0');
        const binding = roleBindingOf(cluster, '1.0.0');
        assert.ok(role.rules.every(({ resourceNames }) => (resourceNames?.length ?? 0) > 0));
        assert.equal(role.metadata.namespace, binding.metadata.namespace);
        for (const { metadata } of [role, binding]) {
          assert.match(
            `${metadata.namespace}/${metadata.name}`,
            /^[a-z0-9][-.a-z0-9]*\/[a-z0-9][-.a-z0-9]*-barman-cloud$/,
          );
        }
      });
    }),
    RUNS,
  );
});

function refusedOr(work: () => void): void {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof InvalidInputError || error instanceof PreconditionError, String(error));
  }
}

/** A copy in which one value, at whatever depth, is another. */
function withValueAt(document: object, place: number, value: unknown): object {
  const copy = structuredClone(document);
  const places = placesOf(copy);
  const { parent, key } = places[place % places.length] ?? { parent: copy, key: 'spec' };
  Reflect.set(parent, key, value);
  return sentAsJson(copy);
}

const UNKNOWN = 'fieldOfTomorrow';

function withUnknownField(document: object, place: number, value: unknown): object {
  const copy = structuredClone(document);
  // Labels are texts only, and a list of values has no fields.
  const objects = [copy, ...placesOf(copy).map(({ parent, key }) => Reflect.get(parent, key) as unknown)].filter(
    (found): found is object =>
      typeof found === 'object' && found !== null && !Array.isArray(found) && !isLabels(found),
  );
  Reflect.set(objects[place % objects.length] ?? copy, UNKNOWN, value);
  return sentAsJson(copy);
}

function isLabels(found: object): boolean {
  return Object.keys(found).some((key) => key.startsWith('cnpg.io/'));
}

/** What the original's unknown field holds now; what was injected is built anew and has none. */
function findUnknown(document: object): unknown[] {
  const own = UNKNOWN in document ? [Reflect.get(document, UNKNOWN)] : [];
  return [
    ...own,
    ...placesOf(document)
      .filter(({ key }) => key === UNKNOWN)
      .map(({ parent, key }) => Reflect.get(parent, key)),
  ].slice(0, 1);
}

function placesOf(value: unknown): { parent: object; key: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((key) => [{ parent: value, key }, ...placesOf(Reflect.get(value, key))]);
}

/** JSON has no -0. */
function sentAsJson<T>(document: T): T {
  return JSON.parse(JSON.stringify(document));
}

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document));
}
