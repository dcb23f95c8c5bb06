// The wire: our `.proto` files say what the contract says, and the generated code reads and writes what any other
// implementation of them does. The other one is @grpc/proto-loader, which builds its own from the files at run time.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';

const FOLDER = import.meta.dirname;
const files = globSync('*.proto', { cwd: FOLDER }).sort();
/** A field has presence only where it says so; 64-bit numbers as text, as JSON does. */
const OPTIONS = { longs: Number, defaults: true, arrays: true, objects: true } as const;

type Field = {
  name: string;
  number: number;
  label: string;
  type: string;
  typeName: string;
};
type Message = {
  name: string;
  field: Field[];
  nestedType: Message[];
  enumType: { name: string; value: { name: string; number: number }[] }[];
  options?: { mapEntry?: boolean } | null;
};
type Values = Record<string, unknown>;
type Generated = Record<string, ServiceDefinition>;

/** Everything that a file declares: its descriptors, and the service in both implementations. */
const declared = await Promise.all(
  files.map(async (file) => {
    const definition = loadSync(join(FOLDER, file), OPTIONS);
    const spelled = loadSync(join(FOLDER, file), { keepCase: true });
    const generated = (await import(`./gen/${basename(file, '.proto')}.ts`)) as Generated;
    const messages = new Map<string, Message>();
    const services: { name: string; theirs: ServiceDefinition; ours: ServiceDefinition }[] = [];
    for (const [name, entry] of Object.entries(definition)) {
      if ('format' in entry) {
        if ('field' in entry.type) messages.set(name, spelled[name]?.type as unknown as Message);
        continue;
      }
      const ours = generated[`${name.slice(name.lastIndexOf('.') + 1)}Service`];
      assert.ok(ours, `${file}: the generated code has the service ${name}`);
      services.push({ name, theirs: entry as ServiceDefinition, ours });
    }
    return { file, messages, services };
  }),
);

test('packages, services, methods, fields, numbers and enums are those of the contract', () => {
  const lines = declared.flatMap(({ messages, services }) => [
    ...services.flatMap(({ ours }) => Object.values(ours).map((method) => `rpc ${method.path}`)),
    ...[...messages].flatMap(([name, message]) => linesOf(name, message)),
  ]);
  const wanted = readFileSync(join(FOLDER, 'wire.golden'), 'utf8').trimEnd().split('\n');
  assert.deepEqual([...new Set(lines)].sort(), wanted);
});

test('a decision that was not sent is told from one that says no', () => {
  const wal = declared.find(({ file }) => file === 'wal.proto')?.services[0];
  const request = { clusterDefinition: Buffer.of(1), sourceFileName: 'X', parameters: {} };
  for (const checkEmptyWalArchive of [undefined, false, true]) {
    const bytes = wal?.theirs.Archive?.requestSerialize({ ...request, checkEmptyWalArchive });
    const read = wal?.ours.archive?.requestDeserialize(bytes ?? Buffer.of()) as { checkEmptyWalArchive?: boolean };
    assert.equal(read.checkEmptyWalArchive, checkEmptyWalArchive);
    assert.deepEqual(wal?.ours.archive?.requestSerialize(read), bytes);
  }
});

for (const { file, messages, services } of declared) {
  for (const { name, theirs, ours } of services) {
    test(`${file}: every message of ${name} is read by one implementation as the other wrote it`, () => {
      assert.deepEqual(Object.values(ours).map(pathOf).sort(), Object.values(theirs).map(pathOf).sort());
      for (const [method, mine] of Object.entries(ours)) {
        const other = Object.values(theirs).find(({ path }) => path === mine.path) as MethodDefinition<object, object>;
        for (let seed = 0; seed < 40; seed += 1) {
          const random = generator(seed);
          const request = valuesOf(messageOf(nameOf(other.requestType), messages), messages, random);
          const response = valuesOf(messageOf(nameOf(other.responseType), messages), messages, random);
          const at = `${method}, seed ${seed}`;
          assert.deepEqual(plain(other.requestDeserialize(mine.requestSerialize(request))), plain(request), at);
          assert.deepEqual(plain(mine.requestDeserialize(other.requestSerialize(request))), plain(request), at);
          assert.deepEqual(plain(other.responseDeserialize(mine.responseSerialize(response))), plain(response), at);
          assert.deepEqual(plain(mine.responseDeserialize(other.responseSerialize(response))), plain(response), at);
        }
      }
    });
  }
}

function linesOf(name: string, message: Message): string[] {
  return [
    ...message.field.map((field) => {
      const type = field.typeName === '' ? field.type.replace('TYPE_', '').toLowerCase() : field.typeName;
      const label = field.label === 'LABEL_REPEATED' ? ' repeated' : '';
      return `field ${name}.${field.name} ${field.number} ${type}${label}`;
    }),
    ...message.enumType.flatMap((type) =>
      type.value.map((value) => `enum ${name}.${type.name}.${value.name} ${value.number}`),
    ),
    ...message.nestedType.flatMap((nested) => linesOf(`${name}.${nested.name}`, nested)),
  ];
}

function pathOf(method: { path: string }): string {
  return method.path;
}

function nameOf(entry: { type: object }): string {
  return (entry.type as Message).name;
}

/** A message with values of every kind; absent where the format knows absence, never a default that would be left out. */
function valuesOf(message: Message, messages: Map<string, Message>, random: () => number): Values {
  const values: Values = {};
  for (const field of message.field) {
    // Other fields know no absence: what is left out is read as the default.
    if (field.type === 'TYPE_MESSAGE' && field.label !== 'LABEL_REPEATED' && random() < 0.3) continue;
    const nested = message.nestedType.find(
      ({ name }) => field.typeName === name || field.typeName.endsWith(`.${name}`),
    );
    const one = () => oneValue(field, nested, messages, random);
    const count = Math.floor(random() * 3);
    if (nested?.options?.mapEntry) {
      values[camel(field.name)] = Object.fromEntries(
        Array.from({ length: count }, (_, at) => [`key ${at}`, `värde ${at}`]),
      );
    } else values[camel(field.name)] = field.label === 'LABEL_REPEATED' ? Array.from({ length: count }, one) : one();
  }
  return values;
}

function oneValue(
  field: Field,
  nested: Message | undefined,
  messages: Map<string, Message>,
  random: () => number,
): unknown {
  const number = Math.floor(random() * 1000) + 1;
  if (field.type === 'TYPE_STRING') return `text ${number} ✓`;
  if (field.type === 'TYPE_BYTES') return Buffer.from([number & 255, 0, 255]);
  if (field.type === 'TYPE_BOOL') return random() < 0.5;
  if (field.type === 'TYPE_INT64') return number * 2 ** 32 + 1;
  if (field.type === 'TYPE_DOUBLE') return number / 7;
  // 1 is known to every enum of the contract.
  if (field.type === 'TYPE_ENUM') return 1;
  assert.equal(field.type, 'TYPE_MESSAGE', `${field.name}: the test knows the type`);
  return valuesOf(nested ?? messageOf(field.typeName, messages), messages, random);
}

function messageOf(typeName: string, messages: Map<string, Message>): Message {
  const found = [...messages].find(([name]) => name === typeName || name.endsWith(`.${typeName}`))?.[1];
  assert.ok(found, `${typeName} is declared`);
  return found;
}

function camel(name: string): string {
  return name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Fields that are there, bytes as hex; both implementations spell absence in ways of their own. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const there = Object.entries(value).filter(([, item]) => item !== undefined && item !== null);
  return Object.fromEntries(there.map(([key, item]) => [key, plain(item)]));
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
