import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { credentials as clientCredentials, type ServiceError, status } from '@grpc/grpc-js';
import { InvalidInputError } from '../errors.ts';
import { HealthClient } from '../proto/gen/health.ts';
import { issue, type KeyPair, makeAuthority, makeSelfSigned } from './certificates.ts';
import { healthService, startGrpcServer } from './grpc.ts';
import { silentLog } from './log.ts';
import { openPinnedCredentials } from './pinned-credentials.ts';

const HOUR_MS = 3_600_000;
const CLIENT = { commonName: 'barman-cloud-client', usages: ['client'], validMs: HOUR_MS } as const;

const server = await makeSelfSigned({
  commonName: 'barman-cloud',
  dnsNames: ['barman-cloud'],
  usages: ['server'],
  validMs: HOUR_MS,
});
const client = await selfSignedClient();

test('accepts the self-signed client whose certificate is pinned', async (t) => {
  const door = await openDoor(t, client.cert);
  await door.call(client);
});

test('accepts a pinned client certificate that was issued by another authority, and no other of that authority', async (t) => {
  const authority = await makeAuthority({ commonName: 'company', validMs: HOUR_MS });
  const pinned = await issue(authority, { ...CLIENT, usages: ['client'] });
  const sibling = await issue(authority, { ...CLIENT, usages: ['client'] });
  const door = await openDoor(t, `${pinned.cert}${authority.cert}`);
  await door.call(pinned);
  await assert.rejects(door.call(sibling), refused);
});

test('accepts clients of an authority that was given in place of a client certificate, as the Go plugin does', async (t) => {
  const authority = await makeAuthority({ commonName: 'company', validMs: HOUR_MS });
  const door = await openDoor(t, authority.cert);
  await door.call(await issue(authority, { ...CLIENT, usages: ['client'] }));
  await assert.rejects(door.call(client), refused);
});

test('refuses a client without a certificate', async (t) => {
  const door = await openDoor(t, client.cert);
  await assert.rejects(door.call(undefined), refused);
});

test('refuses a client with another certificate, also of the same name', async (t) => {
  const door = await openDoor(t, client.cert);
  await assert.rejects(door.call(await selfSignedClient()), refused);
});

test('refuses a client without server name unless its certificate is pinned', async (t) => {
  const door = await openDoor(t, client.cert);
  assert.equal(await door.handshake({ ...client, servername: '' }), 'TLSv1.3');
  const stranger = await selfSignedClient();
  await assert.rejects(door.handshake({ ...stranger, servername: '' }), /unknown ca|reset|closed|bad certificate/i);
});

test('refuses TLS 1.2 and speaks TLS 1.3', async (t) => {
  const door = await openDoor(t, client.cert);
  assert.equal(await door.handshake({ ...client }), 'TLSv1.3');
  await assert.rejects(door.handshake({ ...client, maxVersion: 'TLSv1.2' }), /protocol version/);
});

test('takes up rotated files at the next handshake, and goes on accepting the client that was pinned before', async (t) => {
  const door = await openDoor(t, client.cert);
  await door.call(client);
  const next = await selfSignedClient();
  const renewed = await makeSelfSigned({
    commonName: 'barman-cloud',
    dnsNames: ['barman-cloud'],
    usages: ['server'],
    validMs: HOUR_MS,
  });
  await door.write({ client: next.cert, server: renewed });
  await door.call(next, renewed.cert);
  await door.call(client, renewed.cert);
  await assert.rejects(door.call(client, server.cert), refused, 'the former server certificate is no longer presented');
});

test('keeps the former certificates while the files do not fit together', async (t) => {
  const door = await openDoor(t, client.cert);
  await door.write({ client: 'not a certificate', server });
  await door.call(client);
  await door.write({ client: client.cert, server: { cert: server.cert, key: client.key } });
  await door.call(client);
});

test('names the file that is missing or not usable', async (t) => {
  const folder = await temporaryFolder(t);
  const files = await writeFiles(folder, { client: client.cert, server });
  const open = (changed: Partial<typeof files>) => openPinnedCredentials({ ...files, ...changed }, silentLog());
  const absent = join(folder, 'absent.crt');
  await assert.rejects(open({ clientCert: absent }), complaint(absent, /cannot be read/));
  await assert.rejects(open({ clientCert: files.serverKey }), complaint(files.serverKey, /no certificate in it/));
  await assert.rejects(open({ serverKey: files.clientCert }), complaint(files.clientCert, /must hold the private key/));
});

function complaint(file: string, advice: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof InvalidInputError);
    assert.equal(error.found, file);
    assert.match(error.advice, advice);
    return true;
  };
}

function refused(error: ServiceError): boolean {
  assert.equal(error.code, status.UNAVAILABLE, error.message);
  return true;
}

function selfSignedClient(): Promise<KeyPair> {
  return makeSelfSigned({ ...CLIENT, usages: ['client'] });
}

async function openDoor(t: TestContext, pinned: string) {
  const folder = await temporaryFolder(t);
  const files = await writeFiles(folder, { client: pinned, server });
  const listening = await startGrpcServer({
    services: [healthService()],
    address: { host: '127.0.0.1', port: 0 },
    credentials: await openPinnedCredentials(files, silentLog()),
    log: silentLog(),
  });
  t.after(() => listening.stop(0));
  const port = listening.port ?? assert.fail('no port');
  return {
    write: (contents: { client: string; server: KeyPair }) => writeFiles(folder, contents),
    call: (pair: KeyPair | undefined, root = server.cert) => callHealth(port, pair, root),
    handshake: (options: ConnectionOptions) => shakeHands(port, options),
  };
}

async function callHealth(port: number, pair: KeyPair | undefined, root: string): Promise<void> {
  const tls = clientCredentials.createSsl(
    Buffer.from(root),
    pair === undefined ? null : Buffer.from(pair.key),
    pair === undefined ? null : Buffer.from(pair.cert),
  );
  const health = new HealthClient(`127.0.0.1:${port}`, tls, { 'grpc.ssl_target_name_override': 'barman-cloud' });
  try {
    await new Promise<void>((resolve, reject) => {
      health.check({ service: '' }, (error) => (error ? reject(error) : resolve()));
    });
  } finally {
    health.close();
  }
}

/** In TLS 1.3 a server refuses a client's certificate only after the client believes that all is well. */
async function shakeHands(port: number, options: ConnectionOptions): Promise<string | null> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    ca: server.cert,
    servername: 'barman-cloud',
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
    ...options,
  });
  try {
    await once(socket, 'secureConnect');
    // The server's SETTINGS frame comes only through a door that is open.
    const [chunk] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [undefined])]);
    if (chunk === undefined) throw new Error('closed by the server');
    return socket.getProtocol();
  } finally {
    socket.destroy();
  }
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-credentials-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

async function writeFiles(folder: string, contents: { client: string; server: KeyPair }) {
  const files = {
    serverCert: join(folder, 'server.crt'),
    serverKey: join(folder, 'server.key'),
    clientCert: join(folder, 'client.crt'),
  };
  await writeFile(files.serverCert, contents.server.cert);
  await writeFile(files.serverKey, contents.server.key);
  await writeFile(files.clientCert, contents.client);
  return files;
}
