// Requests that no operator should send, the same ones for the same seed: documents damaged in one place or in their bytes,
// of the wrong kind, huge, or nested without end.
import {
  OperatorLifecycleRequest,
  OperatorOperationType_Type as Verb,
} from '../../api/proto/gen/operator_lifecycle.ts';
import { ReconcilerHooksRequest } from '../../api/proto/gen/reconciler.ts';
import { type Random, seededRandom } from '../journeys/random.ts';
import { BACKUP, CLUSTER, JOB, POD } from './valid-documents.ts';

export type Call = 'LifecycleHook' | 'Pre' | 'Post';

export type MalformedRequest = {
  call: Call;
  /** The message as it goes over the wire. */
  bytes: Buffer;
  /** The object that the request is about, as far as its bytes are the operator's. */
  object: Buffer;
  /** What was done to it. */
  what: string;
};

/** One request in so many is big: they take as long as hundreds of others. */
const BIG_IN = 150;

/** The request of a number; requests of neighbouring numbers have nothing in common. */
export function malformedRequest(seed: number): MalformedRequest {
  const random = seededRandom(seed * 7919);
  const call = random.pick<Call>(['LifecycleHook', 'LifecycleHook', 'Pre', 'Pre', 'Post']);
  const cluster = encode(CLUSTER);
  const resource = encode(
    call === 'LifecycleHook' ? random.pick<object>([POD, JOB]) : random.pick<object>([CLUSTER, BACKUP]),
  );
  const spoilsCluster = random.integer(0, 1) === 0;
  const { bytes, what } = spoil(JSON.parse((spoilsCluster ? cluster : resource).toString('utf8')), random);
  const documents = spoilsCluster ? { cluster: bytes, resource } : { cluster, resource: bytes };
  const message = messageOf(call, documents, random);
  const damaged = random.integer(0, 19) === 0;
  return {
    ...{ call, object: documents.resource },
    bytes: damaged ? damage(message, random) : message,
    what: `${spoilsCluster ? 'Cluster' : 'object'} ${what}${damaged ? ', then its message was damaged' : ''}`,
  };
}

function messageOf(call: Call, documents: { cluster: Buffer; resource: Buffer }, random: Random): Buffer {
  const { cluster: clusterDefinition, resource } = documents;
  if (call !== 'LifecycleHook') {
    return Buffer.from(ReconcilerHooksRequest.encode({ clusterDefinition, resourceDefinition: resource }).finish());
  }
  const verb = random.pick([Verb.TYPE_CREATE, Verb.TYPE_CREATE, Verb.TYPE_EVALUATE, Verb.TYPE_DEREGISTER, 77 as Verb]);
  const operationType = random.integer(0, 30) === 0 ? undefined : { type: verb };
  return Buffer.from(
    OperatorLifecycleRequest.encode({ operationType, clusterDefinition, objectDefinition: resource }).finish(),
  );
}

function damage(message: Buffer, random: Random): Buffer {
  if (random.integer(0, 1) === 0) return message.subarray(0, random.integer(0, message.length - 1));
  return Buffer.concat([Buffer.from([random.integer(0, 255), random.integer(0, 255)]), message]);
}

function spoil(document: object, random: Random): { bytes: Buffer; what: string } {
  if (random.integer(1, BIG_IN) === 1) return random.pick([huge, endless])(document, random);
  return random.pick([replaceValue, replaceValue, replaceValue, removeField, addField, otherDocument, breakBytes])(
    document,
    random,
  );
}

function replaceValue(document: object, random: Random) {
  const { parent, key, path } = place(document, random);
  const value = junk(random);
  set(parent, key, value);
  return { bytes: encode(document), what: `${path} is ${String(JSON.stringify(value)).slice(0, 60)}` };
}

function removeField(document: object, random: Random) {
  const { parent, key, path } = place(document, random);
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete (parent as Record<string, unknown>)[key];
  return { bytes: encode(document), what: `${path} is missing` };
}

/** Names that a program may take for its own. */
function addField(document: object, random: Random) {
  const { parent, path } = place(document, random);
  const value = junk(random);
  const name = random.pick(['__proto__', 'constructor', 'toString', 'template', 'kind', '', 'a/b~c', 'x'.repeat(3000)]);
  if (Array.isArray(parent)) parent.push(value);
  else set(parent, name, value);
  return { bytes: encode(document), what: `beside ${path} there is ${name.slice(0, 20)}` };
}

function otherDocument(_document: object, random: Random) {
  const kinds = ['Service', 'Pod', 'Job', 'Cluster', 'ConfigMap', '', 7, null];
  const versions = ['v1', 'batch/v1', 'postgresql.cnpg.io/v1', 'a/b/c', '', 7, null];
  const document = {
    ...random.pick<object>([{}, POD, JOB, CLUSTER]),
    kind: random.pick(kinds as [unknown]),
    apiVersion: random.pick(versions as [unknown]),
  };
  return { bytes: encode(document), what: `is ${document.apiVersion} ${document.kind}` };
}

function breakBytes(document: object, random: Random) {
  const whole = encode(document);
  const cut = whole.subarray(0, random.integer(0, whole.length - 1));
  const flipped = Buffer.from(whole);
  flipped[random.integer(0, whole.length - 1)] = random.integer(0, 255);
  const noise = Buffer.from(Array.from({ length: random.integer(0, 64) }, () => random.integer(0, 255)));
  const bytes = random.pick([
    cut,
    flipped,
    noise,
    Buffer.from(`\ufeff${whole}`),
    Buffer.from('null'),
    Buffer.from('[]'),
    Buffer.from('1e999'),
  ]);
  return { bytes, what: 'has broken bytes' };
}

function huge(document: object, random: Random) {
  const { parent, key, path } = place(document, random);
  const value = random.pick<unknown>([
    'x'.repeat(1024 * 1024),
    Array.from({ length: 20_000 }, (_, index) => ({ name: `v${index}`, value: 'x' })),
    Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`key${index}`, index])),
  ]);
  set(parent, key, value);
  return { bytes: encode(document), what: `${path} is huge` };
}

function endless(document: object, random: Random) {
  const { parent, key, path } = place(document, random);
  set(parent, key, 'DEEP');
  const depth = random.pick([500, 5_000, 200_000]);
  const [open, close] = random.pick<[string, string]>([
    ['[', ']'],
    ['{"a":', '}'],
  ]);
  const nest = `${open.repeat(depth)}1${close.repeat(depth)}`;
  return {
    bytes: Buffer.from(encode(document).toString('utf8').replace('"DEEP"', nest)),
    what: `${path} is ${depth} deep`,
  };
}

function junk(random: Random): unknown {
  return random.pick<unknown>([
    ...([
      null,
      true,
      0,
      -1,
      1.5e300,
      '',
      'text',
      ' ',
      '..',
      '.',
      'a/b',
      'UPPER',
      '\u0000',
      '\ud800',
      'x'.repeat(5000),
    ] as const),
    ...([
      [],
      [[]],
      [null],
      [{}],
      [{ name: 'postgres' }],
      {},
      { name: 1 },
      { a: { b: null } },
      { kind: 'Job', template: {} },
    ] as const),
  ]);
}

type Place = { parent: object; key: string; path: string };

/** A place at any depth, each level as likely to be the last. */
function place(document: object, random: Random): Place {
  let here: Place | undefined;
  let value: unknown = document;
  while (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value);
    const [first, ...more] = keys;
    if (first === undefined || (here !== undefined && random.integer(0, 4) === 0)) break;
    const key = random.pick([first, ...more]);
    here = { parent: value, key, path: here === undefined ? key : `${here.path}.${key}` };
    value = (value as Record<string, unknown>)[key];
  }
  return here ?? { parent: document, key: 'spec', path: 'spec' };
}

/** As JSON.parse would: `__proto__` is a field like any other. */
function set(parent: object, key: string, value: unknown): void {
  Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
}

function encode(document: unknown): Buffer {
  return Buffer.from(JSON.stringify(document));
}
