// MinIO behind TLS, for the peer that speaks nothing else to S3: a server of its own with a certificate that nobody trusts.
import 'reflect-metadata';
import { spawn } from 'node:child_process';
import { randomBytes, webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { X509CertificateGenerator } from '@peculiar/x509';
import type { Cleanup } from '../../demo/cleanup.ts';
import { freePort } from '../../servers/free-port.ts';

export type TlsStore = { host: string; port: number; bucket: string; accessKeyId: string; secretAccessKey: string };

const HOST = '127.0.0.1';
const BUCKET = 'peer';
const START_LIMIT_MS = 60_000;
const DAY_MS = 86_400_000;

/** Starts it with one bucket; the cleanup ends it and removes its data. */
export async function startTlsStore(program: string, cleanup: Cleanup): Promise<TlsStore> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-bench-tls-'));
  cleanup.add(() => rm(folder, { recursive: true, force: true }));
  const [certificates, data] = [join(folder, 'certificates'), join(folder, 'data')];
  // A folder in the data is a bucket.
  for (const path of [certificates, join(data, BUCKET)]) await mkdir(path, { recursive: true });
  await writeCertificate(certificates);
  const keys = { accessKeyId: `id${randomBytes(8).toString('hex')}`, secretAccessKey: randomBytes(24).toString('hex') };
  const [port, consolePort] = [await freePort(), await freePort()];
  const doors = ['--address', `${HOST}:${port}`, '--console-address', `${HOST}:${consolePort}`];
  const child = spawn(program, ['server', '--quiet', '--certs-dir', certificates, ...doors, data], {
    stdio: 'ignore',
    env: {
      ...{ PATH: process.env.PATH ?? '', HOME: folder, MINIO_BROWSER: 'off' },
      ...{ MINIO_ROOT_USER: keys.accessKeyId, MINIO_ROOT_PASSWORD: keys.secretAccessKey },
    },
  });
  const ended = once(child, 'exit');
  const kill = () => child.kill('SIGKILL');
  // It must not outlive a run that ends in the middle.
  process.once('exit', kill);
  cleanup.add(async () => {
    kill();
    await ended;
    process.off('exit', kill);
  });
  await healthy(port, () => child.exitCode !== null);
  return { host: HOST, port, bucket: BUCKET, ...keys };
}

/** The names that MinIO looks for. An elliptic key: a handshake costs the server little. */
async function writeCertificate(folder: string): Promise<void> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...{ name: `CN=${HOST}`, keys, signingAlgorithm: algorithm },
    ...{ notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + 30 * DAY_MS) },
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const pem = `-----BEGIN PRIVATE KEY-----\n${key.replaceAll(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`;
  await writeFile(join(folder, 'public.crt'), certificate.toString('pem'));
  await writeFile(join(folder, 'private.key'), pem, { mode: 0o600 });
}

async function healthy(port: number, over: () => boolean): Promise<void> {
  const deadline = performance.now() + START_LIMIT_MS;
  while (!(await answers(port))) {
    if (over()) throw new Error('MinIO with TLS has ended');
    if (performance.now() > deadline) throw new Error(`MinIO with TLS is not ready after ${START_LIMIT_MS / 1000} s`);
    await delay(50);
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // Its certificate is nobody's; it is a server of our own on loopback.
    const options = { host: HOST, port, path: '/minio/health/ready', rejectUnauthorized: false, agent: false };
    get(options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).once('error', () => resolve(false));
  });
}
