import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { after, before, test } from 'node:test';
import { connect, type SecureVersion } from 'node:tls';
import fc from 'fast-check';
import { makeSelfSigned } from '../api/wire/certificates.ts';
import { createLog, silentLog } from '../api/wire/log.ts';
import { startWebhook, type Webhook, type WebhookOptions } from './server.ts';

const agent = new Agent({ keepAlive: true, maxSockets: 4 });
let tls: { cert: string; key: string };
let webhook: Webhook;

before(async () => {
  tls = await makeSelfSigned({
    commonName: 'test',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
    validMs: 3_600_000,
  });
  webhook = await start();
});

after(async () => {
  agent.destroy();
  await webhook.stop();
});

function start(more: Partial<WebhookOptions> = {}): Promise<Webhook> {
  const stores = {
    cluster: () => Promise.reject(new Error('no API server here')),
    objectStore: () => Promise.reject(new Error('no API server here')),
  };
  return startWebhook({
    ...{ host: '127.0.0.1', port: 0, tls, stores, settings: { sidecarImage: 'i' }, log: silentLog() },
    ...{ lookUps: {}, strictReferences: false, notReady: () => undefined, ...more },
  });
}

type Answer = { status: number; body: string };

/** One request, on kept connections, with the server's certificate checked. */
async function send(
  path: string,
  body?: string | Buffer,
  options: { url?: string; type?: string; fresh?: boolean } = {},
): Promise<Answer> {
  const request = httpsRequest(`${options.url ?? webhook.url}${path}`, {
    agent: options.fresh ? false : agent,
    ca: tls.cert,
    method: body === undefined ? 'GET' : 'POST',
    headers:
      body === undefined
        ? {}
        : { 'content-type': options.type ?? 'application/json', 'content-length': Buffer.byteLength(body) },
  });
  request.end(body);
  const [response] = await once(request, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: Buffer.concat(chunks).toString() };
}

function reviewOf(request: object): string {
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
}

const KIND = { group: 'barmancloud.cnpg.io', version: 'v1', kind: 'ObjectStore' };
const TYPO = {
  uid: 'u-1',
  kind: KIND,
  operation: 'CREATE',
  namespace: 'default',
  name: 'minio-store',
  object: {
    apiVersion: 'barmancloud.cnpg.io/v1',
    kind: 'ObjectStore',
    metadata: { name: 'minio-store', namespace: 'default' },
    spec: {
      configuration: {
        destinationPath: 's3://backups/',
        s3Credentials: { accessKeyId: { name: 'minio', key: 'ACCESS_KEY_ID' } },
        wal: { compression: 'gzp' },
      },
      retentionPolicy: '30d',
    },
  },
};

for (const path of ['/judge/objectstores', '/validate/objectstores']) {
  test(`${path} refuses with all problems at once and never patches`, async () => {
    const { status, body } = await send(path, reviewOf(TYPO));
    assert.equal(status, 200);
    const { response } = JSON.parse(body);
    assert.equal(response.uid, 'u-1');
    assert.equal(response.allowed, false);
    assert.equal(response.patch, undefined);
    assert.deepEqual(
      response.status.details.causes.map(({ field }: { field: string }) => field),
      ['spec.configuration.s3Credentials', 'spec.configuration.wal.compression'],
    );
  });
}

const UNDECLARED = {
  uid: 'u-2',
  kind: { group: 'postgresql.fork.example', version: 'v1', kind: 'Cluster' },
  operation: 'CREATE',
  namespace: 'default',
  name: 'orders',
  object: {
    apiVersion: 'postgresql.fork.example/v1',
    kind: 'Cluster',
    metadata: { name: 'orders', namespace: 'default' },
    spec: {
      plugins: [
        {
          name: 'barman-cloud.cloudnative-pg.io',
          isWALArchiver: false,
          parameters: { barmanObjectName: 'minio-store' },
        },
      ],
    },
  },
};

test('/validate/clusters admits with a warning, whatever group Clusters are in, and counts it', async () => {
  const { status, body } = await send('/validate/clusters', reviewOf(UNDECLARED));
  assert.equal(status, 200);
  const warning =
    'spec.plugins[0].isWALArchiver: found false: WAL is archived anyway; to pause annotate cnpg.io/skipWalArchiving: enabled';
  assert.deepEqual(JSON.parse(body).response, { uid: 'u-2', allowed: true, warnings: [warning] });
  const metrics = webhook.metrics();
  assert.match(metrics, /^cellar_admission_requests_total\{kind="Cluster",operation="CREATE",outcome="warned"\} 1$/m);
  assert.match(metrics, /^cellar_admission_findings_total\{kind="Cluster",rule="CL14"\} 1$/m);
});

test('a dry run is judged the same', async () => {
  const { body } = await send('/judge/objectstores', reviewOf({ ...TYPO, dryRun: true }));
  assert.equal(JSON.parse(body).response.allowed, false);
});

test('counts what was judged, by outcome and by rule', async () => {
  await send('/judge/objectstores', reviewOf(TYPO));
  await send('/judge/objectstores', reviewOf({ ...TYPO, operation: 'made up' }));
  const metrics = webhook.metrics();
  assert.match(
    metrics,
    /^cellar_admission_requests_total\{kind="ObjectStore",operation="CREATE",outcome="refused"\} \d+$/m,
  );
  assert.match(
    metrics,
    /^cellar_admission_requests_total\{kind="ObjectStore",operation="other",outcome="skipped"\} 1$/m,
  );
  assert.match(metrics, /^cellar_admission_findings_total\{kind="ObjectStore",rule="A3"\} \d+$/m);
});

for (const path of ['/mutate/pods', '/mutate/jobs']) {
  test(`${path} admits what it cannot help, with a warning and a count`, async () => {
    const object = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { labels: { 'cnpg.io/cluster': 'c' } },
      spec: { containers: [] },
    };
    const { status, body } = await send(path, reviewOf({ ...TYPO, object }));
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(body).response, {
      uid: 'u-1',
      allowed: true,
      warnings: ['no backup sidecar: no API server here'],
    });
    assert.match(
      webhook.metrics(),
      /^cellar_injections_total\{door="admission",outcome="failed",code="look-up-failed"\} \d+$/m,
    );
  });
}

test('counts what it could not read, and how long every review took', async () => {
  await send('/validate/backups', '{}');
  const { body } = await send('/metrics');
  assert.match(body, /^cellar_admission_requests_total\{kind="Backup",operation="other",outcome="unreadable"\} 1$/m);
  assert.match(body, /^cellar_admission_seconds_count\{kind="Backup"\} \d+$/m);
});

test('a fault of ours admits with a warning, and is counted', async (t) => {
  const fault = () => {
    throw new Error('broken look-up');
  };
  const lookUps = Object.defineProperty({}, 'clusters', { get: fault });
  const another = await start({ lookUps });
  t.after(() => another.stop());
  const { body } = await send('/validate/clusters', reviewOf(UNDECLARED), { url: another.url });
  assert.deepEqual(JSON.parse(body).response, {
    uid: 'u-2',
    allowed: true,
    warnings: ['admitted unseen by the backup plugin, which failed: broken look-up'],
  });
  assert.match(another.metrics(), /requests_total\{kind="Cluster",operation="CREATE",outcome="fault"\} 1$/m);
});

test('is not ready while its process is not, and says why', async (t) => {
  let reason: string | undefined = 'starting';
  const another = await start({ notReady: () => reason, otherMetrics: () => 'other 1\n' });
  t.after(() => another.stop());
  assert.deepEqual(await send('/readyz', undefined, { url: another.url }), { status: 503, body: 'starting\n' });
  assert.deepEqual(await send('/healthz', undefined, { url: another.url }), { status: 200, body: 'ok\n' });
  reason = undefined;
  assert.equal((await send('/readyz', undefined, { url: another.url })).status, 200);
  assert.match((await send('/metrics', undefined, { url: another.url })).body, /^other 1$/m);
});

test('logs kind, name and outcome of a review, and nothing of what the object contains', async (t) => {
  let logged = '';
  const log = createLog({
    level: 'debug',
    destination: {
      write(line) {
        logged += line;
      },
    },
  });
  const another = await start({ log });
  t.after(() => another.stop());
  await send('/validate/objectstores', reviewOf(TYPO), { url: another.url });
  assert.match(logged, /"kind":"ObjectStore".*"name":"minio-store".*"outcome":"refused"/);
  assert.doesNotMatch(logged, /gzp|ACCESS_KEY_ID|s3:/);
});

test('says that it is well', async () => {
  assert.deepEqual(await send('/healthz'), { status: 200, body: 'ok\n' });
  assert.deepEqual(await send('/readyz'), { status: 200, body: 'ok\n' });
});

test('answers what is no review with a client error, never with 200', async () => {
  const statuses = async (body: string, type?: string) =>
    (await send('/judge/objectstores', body, type === undefined ? {} : { type })).status;
  assert.equal(await statuses(reviewOf({ ...TYPO, uid: undefined })), 400);
  assert.equal(await statuses('{"a":'), 400);
  assert.equal(await statuses(''), 400);
  assert.equal(await statuses('a', 'text/html'), 415);
  assert.equal(await statuses(`"${'x'.repeat(3 * 1024 * 1024)}"`), 413);
  assert.equal((await send('/elsewhere', '{}')).status, 404);
});

test('any JSON as a review, or in one, is answered: with its uid or with an error', async () => {
  const paths = fc.constantFrom(
    '/judge/objectstores',
    '/validate/objectstores',
    '/validate/clusters',
    '/validate/backups',
    '/validate/scheduledbackups',
    '/mutate/pods',
    '/mutate/jobs',
  );
  const request = fc.record({
    uid: fc.oneof(fc.string(), fc.jsonValue()),
    operation: fc.oneof(fc.constantFrom('CREATE', 'UPDATE'), fc.jsonValue()),
    object: fc.oneof(
      fc.jsonValue(),
      fc.record({
        metadata: fc.oneof(fc.jsonValue(), fc.constant({ labels: { 'cnpg.io/cluster': 'c' } })),
        spec: fc.jsonValue(),
      }),
    ),
    oldObject: fc.jsonValue(),
  });
  const body = fc.oneof(
    fc.jsonValue().map((value) => JSON.stringify(value)),
    request.map(reviewOf),
  );
  await fc.assert(
    fc.asyncProperty(paths, body, async (path, text) => {
      const answer = await send(path, text);
      const uid = JSON.parse(text)?.request?.uid;
      if (answer.status === 200) assert.equal(JSON.parse(answer.body).response.uid, uid);
      else assert.equal(answer.status, 400);
      assert.equal(answer.status === 200, typeof uid === 'string' && uid !== '');
    }),
    { numRuns: 500 },
  );
});

test('names of prototypes are names like others', async () => {
  const body = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","object":{"__proto__":{"a":1},"metadata":{"constructor":{"prototype":{}}},"spec":{"configuration":{"tags":{"__proto__":5}}}}}}`;
  const { status, body: answer } = await send('/judge/objectstores', body);
  assert.equal(status, 200);
  assert.match(answer, /configuration\.tags\[__proto__\]/);
});

test('speaks TLS 1.2 and above only', async () => {
  const { port } = new URL(webhook.url);
  const handshake = async (version: SecureVersion): Promise<string> => {
    const socket = connect({
      host: '127.0.0.1',
      port: Number(port),
      ca: tls.cert,
      minVersion: 'TLSv1',
      maxVersion: version,
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const [outcome] = await Promise.race([
      once(socket, 'secureConnect').then(() => [socket.getProtocol()]),
      once(socket, 'error'),
    ]).catch((error) => [error]);
    socket.destroy();
    return outcome instanceof Error ? 'refused' : String(outcome);
  };
  assert.equal(await handshake('TLSv1.1'), 'refused');
  assert.equal(await handshake('TLSv1.2'), 'TLSv1.2');
  assert.equal(await handshake('TLSv1.3'), 'TLSv1.3');
});

test('a renewed certificate is shown to new connections, and those that are open go on', async (t) => {
  const another = await start();
  t.after(() => another.stop());
  const { hostname, port } = new URL(another.url);
  const open = connect({ host: hostname, port: Number(port), ca: tls.cert });
  await once(open, 'secureConnect');
  const renewed = await makeSelfSigned({
    ...{ commonName: 'renewed', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] },
    ...{ usages: ['server'], validMs: 3_600_000 },
  });
  another.renew(renewed);
  open.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
  const [chunk] = await once(open, 'data');
  assert.match(String(chunk), /^HTTP\/1\.1 200/);
  const fresh = connect({ host: hostname, port: Number(port), ca: renewed.cert });
  await once(fresh, 'secureConnect');
  assert.equal(fresh.getPeerCertificate().subject.CN, 'renewed');
  for (const socket of [open, fresh]) socket.destroy();
});

for (const [title, said] of [
  ['a handshake', undefined],
  ['headers', 'POST /validate/clusters HTTP/1.1\r\nhost: x\r\nx-slow:'],
  [
    'a body',
    'POST /validate/clusters HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
  ],
] as const) {
  test(`a caller who never ends ${title} is cut off, and others are served meanwhile`, async (t) => {
    const another = await start({ limits: { headersMs: 200, requestMs: 400 } });
    t.after(() => another.stop());
    const { hostname, port } = new URL(another.url);
    const target = { host: hostname, port: Number(port) };
    const slow = said === undefined ? connectTcp(target) : connect({ ...target, ca: tls.cert });
    const closed = once(slow, 'close');
    slow.on('error', () => {});
    let answered = '';
    slow.on('data', (chunk) => {
      answered += chunk;
    });
    await once(slow, said === undefined ? 'connect' : 'secureConnect');
    if (said !== undefined) slow.write(said);
    assert.equal((await send('/healthz', undefined, { url: another.url })).status, 200);
    await closed;
    assert.match(answered, said === undefined ? /^$/ : /^HTTP\/1\.1 408/);
  });
}

test('a body that is too long is refused before it has come, and without its length told, too', async (t) => {
  const another = await start();
  t.after(() => another.stop());
  const { hostname, port } = new URL(another.url);
  const head = 'POST /validate/clusters HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
  const announced = connect({ host: hostname, port: Number(port), ca: tls.cert });
  announced.write(`${head}content-length: ${2 ** 40}\r\n\r\n{`);
  assert.match(String((await once(announced, 'data'))[0]), /^HTTP\/1\.1 413/);
  announced.destroy();
  const chunked = connect({ host: hostname, port: Number(port), ca: tls.cert });
  chunked.on('error', () => {});
  const answer = once(chunked, 'data');
  chunked.write(`${head}transfer-encoding: chunked\r\n\r\n`);
  const mebibyte = 'x'.repeat(2 ** 20);
  for (let sent = 0; sent < 4; sent += 1) chunked.write(`100000\r\n${mebibyte}\r\n`);
  assert.match(String((await answer)[0]), /^HTTP\/1\.1 413/);
  chunked.destroy();
});

test('while it drains everybody is answered, and asked to connect again', async (t) => {
  const another = await start();
  t.after(() => another.stop());
  another.drain();
  const sent = httpsRequest(`${another.url}/healthz`, { agent, ca: tls.cert });
  sent.end();
  const [response] = await once(sent, 'response');
  response.resume();
  assert.deepEqual([response.statusCode, response.headers.connection], [200, 'close']);
});

test('stopping closes idle connections and takes no new ones', async () => {
  const another = await start();
  assert.equal((await send('/healthz', undefined, { url: another.url })).status, 200);
  await another.stop();
  await assert.rejects(send('/healthz', undefined, { url: another.url, fresh: true }), { code: 'ECONNREFUSED' });
});
