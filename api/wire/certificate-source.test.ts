import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { InvalidInputError } from '../errors.ts';
import { type CertificateSet, type CertificateSource, followFiles } from './certificate-source.ts';
import { type KeyPair, makeSelfSigned } from './certificates.ts';
import { createLog, silentLog } from './log.ts';

const LOOK_MS = 10;
const first = await pair();
const second = await pair();

test('changed files are found while the process runs, and told once', async (t) => {
  const { files, write } = await filesOf(t);
  const source = await followFiles(files, { log: silentLog(), lookMs: LOOK_MS });
  t.after(() => source.stop());
  assert.deepEqual(source.current(), {
    plugin: { ...first, client: first.cert },
    client: first.cert,
    webhook: first,
  });
  const told = changeTo(second, source);
  await write(second);
  const set = await told;
  assert.deepEqual(set.client, second.cert);
});

test('files that do not fit together leave the former in use, and the log says so once', async (t) => {
  const { files, write } = await filesOf(t);
  const lines: string[] = [];
  const written = Promise.withResolvers<void>();
  const destination = {
    write(line: string) {
      lines.push(line);
      written.resolve();
    },
  };
  const source = await followFiles(files, { log: createLog({ level: 'info', destination }), lookMs: LOOK_MS });
  t.after(() => source.stop());
  await writeFile(files.webhook.key, second.key);
  await written.promise;
  await delay(10 * LOOK_MS);
  assert.match(lines.join(''), /certificates stay as they were/);
  assert.doesNotMatch(lines.join(''), /PRIVATE/);
  assert.deepEqual(source.current().webhook, first);
  assert.equal(lines.length, 1);
  const told = changeTo(second, source);
  await write(second);
  await told;
});

test('a file that is missing or does not fit ends the start, and is named', async (t) => {
  const { files } = await filesOf(t);
  await writeFile(files.webhook.key, second.key);
  await assert.rejects(followFiles(files, { log: silentLog() }), (error) => {
    return error instanceof InvalidInputError && error.found === files.webhook.key;
  });
});

test('an empty file, caught while it is written, is none', async (t) => {
  for (const half of ['cert', 'key'] as const) {
    const { files } = await filesOf(t);
    await writeFile(files.webhook[half], '');
    await assert.rejects(followFiles(files, { log: silentLog() }), (error) => {
      return error instanceof InvalidInputError && error.found === files.webhook[half];
    });
  }
});

/** Files are written one after the other: what is told first may be half of it. */
function changeTo(wanted: KeyPair, source: Pick<CertificateSource, 'onChange'>): Promise<CertificateSet> {
  return new Promise((resolve) => {
    source.onChange((set) => {
      if ([set.webhook, set.plugin].every((pair) => pair?.cert === wanted.cert && pair.key === wanted.key))
        resolve(set);
    });
  });
}

function pair(): Promise<KeyPair> {
  return makeSelfSigned({ commonName: 'x', dnsNames: ['x'], usages: ['server', 'client'], validMs: 3_600_000 });
}

async function filesOf(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-source-'));
  t.after(() => rm(folder, { recursive: true }));
  const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const webhook = { cert: join(folder, 'webhook.crt'), key: join(folder, 'webhook.key') };
  const write = async (contents: KeyPair): Promise<void> => {
    await Promise.all([
      writeFile(cert, contents.cert),
      writeFile(key, contents.key),
      writeFile(webhook.cert, contents.cert),
      writeFile(webhook.key, contents.key),
    ]);
  };
  await write(first);
  return { files: { plugin: { serverCert: cert, serverKey: key, clientCert: cert }, webhook }, write };
}
