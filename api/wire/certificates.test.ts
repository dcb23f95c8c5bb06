import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import { test } from 'node:test';
import { issue, makeAuthority, makeSelfSigned } from './certificates.ts';

const HOUR_MS = 3_600_000;

test('a self-signed certificate names its host and addresses, and vouches for nobody else', async () => {
  const pair = await makeSelfSigned({
    commonName: 'barman-cloud, "quoted"',
    dnsNames: ['barman-cloud'],
    ipAddresses: ['127.0.0.1', '::1'],
    usages: ['server'],
    validMs: HOUR_MS,
  });
  const certificate = new X509Certificate(pair.cert);
  assert.equal(certificate.ca, false);
  assert.equal(certificate.subjectAltName, 'DNS:barman-cloud, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.ok(certificate.verify(certificate.publicKey));
  assert.match(pair.key, /^-----BEGIN PRIVATE KEY-----/);
});

test('a certificate is valid from a little before now for as long as asked', async () => {
  const before = Date.now();
  const pair = await makeSelfSigned({ commonName: 'short', usages: ['client'], validMs: 20_000 });
  const certificate = new X509Certificate(pair.cert);
  assert.ok(certificate.validFromDate.getTime() < before);
  const endsInMs = certificate.validToDate.getTime() - before;
  // A certificate counts whole seconds.
  assert.ok(endsInMs >= 19_000 && endsInMs <= 20_000 + (Date.now() - before), `ends in ${endsInMs} ms`);
});

test('an issued certificate is accepted by whoever trusts its authority, and by nobody else', async (t) => {
  const authority = await makeAuthority({ commonName: 'test authority', validMs: HOUR_MS });
  const other = await makeAuthority({ commonName: 'test authority', validMs: HOUR_MS });
  const server = await issue(authority, {
    commonName: 'webhook',
    dnsNames: ['localhost'],
    usages: ['server'],
    validMs: HOUR_MS,
  });
  const https = createHttpsServer(server, (_request, response) => response.end('served')).listen(0, 'localhost');
  t.after(() => https.close());
  await once(https, 'listening');
  const address = https.address();
  assert.ok(typeof address === 'object' && address !== null);
  const { port } = address;

  assert.equal(await get(port, authority.cert), 200);
  assert.equal(await get(port, `${other.cert}${authority.cert}`), 200, 'after another authority of the same name');
  assert.equal(await get(port, `${authority.cert}${other.cert}`), 200, 'before another authority of the same name');
  await assert.rejects(get(port, other.cert), /certificate/);
});

function get(port: number, ca: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    httpsRequest({ host: 'localhost', port, ca, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    })
      .on('error', reject)
      .end();
  });
}
