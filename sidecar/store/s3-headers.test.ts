// What goes over the wire for WAL (object-store-layout.md §2.4), recorded by a proxy before a real server: from the
// ObjectStore through the archiver and the opened store to the request.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { silentLog } from '../../api/wire/log.ts';
import { type FaultProxy, type Seen, startFaultProxy } from '../../test/servers/fault-proxy.ts';
import { startS3, type TestS3 } from '../../test/servers/s3rver.ts';
import { createWalArchiver } from '../wal/archive.ts';
import { createArchives } from './open.ts';

const SEGMENT = '0000000100000004000000A7';
const HISTORY = '00000002.history';
const FOLDER = '0000000100000004';
const content = Buffer.alloc(1 << 20, 'content of a segment;');
const cluster: Cluster = {
  metadata: { name: 'pg' },
  spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: 'store' } }] },
  status: { currentPrimary: 'pg-1' },
};
const KEYS = { accessKeyId: { name: 'creds', key: 'id' }, secretAccessKey: { name: 'creds', key: 'secret' } };

let server: TestS3;
let proxy: FaultProxy;
let pgdata: string;

before(async () => {
  server = await startS3();
  proxy = await startFaultProxy(server.endpoint);
  await server.createBucket('bucket');
  pgdata = await mkdtemp(join(tmpdir(), 'cellar-headers-'));
  await mkdir(join(pgdata, 'pg_wal'));
  for (const name of [SEGMENT, HISTORY]) await writeFile(join(pgdata, 'pg_wal', name), content);
});

after(async () => {
  await proxy.stop();
  await server.stop();
  await rm(pgdata, { recursive: true });
});

test('a segment travels with its metadata, on the condition that nothing is there, and nothing else is said of it', async () => {
  const [put] = puts(await archive('plain', SEGMENT, { wal: { compression: 'gzip' } }));
  assert.ok(put);
  assert.equal(put.headers['if-none-match'], '*');
  assert.equal(put.headers['content-length'], put.headers['x-amz-meta-cellar-stored-size']);
  const { host: _, 'content-length': __, 'user-agent': ___, ...headers } = put.headers;
  const names = Object.keys(headers).filter((name) => !/^(x-amz-user-agent|amz-sdk-.*|connection)$/.test(name));
  assert.deepEqual(names.sort(), [
    ...['authorization', 'content-type', 'if-none-match', 'x-amz-content-sha256', 'x-amz-date'],
    ...['x-amz-meta-cellar-sha256', 'x-amz-meta-cellar-size', 'x-amz-meta-cellar-stored-size'],
  ]);
  assert.match(headers['x-amz-meta-cellar-sha256']?.toString() ?? '', /^[0-9a-f]{64}$/);
  assert.equal(headers['x-amz-meta-cellar-size'], String(content.length));
  // The SDK's default; above all no Content-Encoding, which would have clients unpack what they get.
  assert.equal(headers['content-type'], 'application/octet-stream');
});

const ENCRYPTIONS: [
  title: string,
  configuration: Partial<ObjectStoreConfiguration>,
  algorithm: string,
  key?: string,
][] = [
  ['wal.encryption AES256', { wal: { encryption: 'AES256' } }, 'AES256'],
  ['wal.encryption aws:kms', { wal: { encryption: 'aws:kms' } }, 'aws:kms'],
  [
    '-e aws:kms with a key',
    { wal: { archiveAdditionalCommandArgs: ['-e', 'aws:kms', '--sse-kms-key-id=arn:aws:kms:eu-west-1:1:key/a-b'] } },
    'aws:kms',
    'arn:aws:kms:eu-west-1:1:key/a-b',
  ],
];

for (const [title, configuration, algorithm, keyId] of ENCRYPTIONS) {
  test(`${title} is asked of the store`, async () => {
    const [put] = puts(await archive(title.replaceAll(/\W/g, ''), SEGMENT, configuration));
    assert.equal(put?.headers['x-amz-server-side-encryption'], algorithm);
    assert.equal(put?.headers['x-amz-server-side-encryption-aws-kms-key-id'], keyId);
  });
}

test('tags travel form-encoded, whatever is in them, and history tags take their place for a history file', async () => {
  const tags = { 'team/ä': 'a b&c=d+e', empty: '', 'x:y@z': '100%' };
  const historyTags = { kind: 'history, too' };
  const sent = [
    ...puts(await archive('tagged', SEGMENT, { tags, historyTags })),
    ...puts(await archive('tagged', HISTORY, { tags, historyTags })),
    ...puts(await archive('general', HISTORY, { tags, historyTags: {} })),
    ...puts(await archive('untagged', SEGMENT, {})),
  ].filter(isFirst);
  const tagging = sent.map(({ headers }) => headers['x-amz-tagging']?.toString());
  const general = 'team%2F%C3%A4=a+b%26c%3Dd%2Be&empty=&x%3Ay%40z=100%25';
  assert.deepEqual(tagging, [general, 'kind=history%2C+too', general, undefined]);
  assert.deepEqual(Object.fromEntries(new URLSearchParams(tagging[0])), tags);
});

for (const [destinationPath, prefix] of [
  ['s3://bucket', ''],
  ['s3://bucket/', ''],
  ['s3://bucket/in/depth', 'in/depth/'],
  ['s3://bucket/in/depth/', 'in/depth/'],
  ['s3://bucket//in/depth//', 'in/depth/'],
] as const) {
  test(`${destinationPath} is addressed by path, without an empty part`, async () => {
    const name = `server-${destinationPath.length}`;
    const seen = await archive(name, SEGMENT, { destinationPath });
    const host = new URL(proxy.endpoint).host;
    assert.ok(seen.every(({ headers }) => headers.host === host));
    assert.equal(puts(seen)[0]?.path, `/bucket/${prefix}${name}/wals/${FOLDER}/${SEGMENT}`);
    for (const { path, query } of seen) {
      assert.doesNotMatch(path, /\/\//);
      assert.doesNotMatch(query.get('prefix') ?? '', /\/\/|^\//);
      assert.match(path, /^\/bucket(\/|$)/);
    }
  });
}

/** The requests that archiving a file with a configuration makes. */
async function archive(
  serverName: string,
  file: string,
  configuration: Partial<ObjectStoreConfiguration>,
): Promise<Seen[]> {
  const secret = { id: server.accessKeyId, secret: server.secretAccessKey };
  const data = Object.fromEntries(
    Object.entries(secret).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
  const objectStore = {
    metadata: { name: 'store' },
    spec: {
      configuration: {
        ...{ destinationPath: 's3://bucket', endpointURL: proxy.endpoint, s3Credentials: KEYS },
        ...configuration,
      },
    },
  };
  const kube = {
    objectStore: async () => objectStore,
    secret: async () => ({ data }),
    cluster: () => Promise.reject(new Error('not asked for')),
  };
  const log = silentLog();
  const archives = createArchives({ namespace: 'ns', kube, env: {}, certificatesFolder: pgdata, log });
  const archiver = createWalArchiver({
    archives: { open: ({ objectStore: name }) => archives.open({ objectStore: name, serverName }) },
    ...{ pgdata, podName: 'pg-1', log },
  });
  proxy.seen.length = 0;
  const sourceFile = join(pgdata, 'pg_wal', file);
  await archiver.archive({ cluster, sourceFile, checkEmptyArchive: false, signal: new AbortController().signal });
  return [...proxy.seen];
}

function puts(seen: readonly Seen[]): Seen[] {
  return seen.filter(({ method }) => method === 'PUT');
}

/** A store that is not known for conditional puts is sent its first object twice (s3-put.ts). */
function isFirst(seen: Seen, index: number, all: readonly Seen[]): boolean {
  return seen.path !== all[index - 1]?.path;
}
