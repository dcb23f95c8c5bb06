import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { failureOf, startAnswering } from '../../test/servers/answering-s3.ts';
import { awsProfile, readTimeoutMs } from './client-options.ts';
import { DEFAULT_LIMITS, resolveS3Settings } from './s3-settings.ts';

const STORE = { destinationPath: 's3://bucket', s3Credentials: { inheritFromIAMRole: true } };
const KEYS = { accessKeyId: 'i', secretAccessKey: 's', region: undefined, sessionToken: undefined };

test('the largest --read-timeout of all tools is the limit for a silent connection', () => {
  assert.equal(readTimeoutMs(store({ archive: ['--read-timeout=120'] })), 120_000);
  assert.equal(readTimeoutMs(store({ archive: ['--read-timeout', '5'], backup: ['--read-timeout=9'] })), 9_000);
  assert.equal(readTimeoutMs(store({ fetch: ['--read-timeout=7'], restore: ['--read-timeout=3'] })), 7_000);
  assert.equal(resolveS3Settings(store({ backup: ['--read-timeout=9'] }), KEYS, {}, undefined).silenceTimeoutMs, 9_000);
});

test('without --read-timeout our own limit stands, and one beyond what a timer can keep is cut', () => {
  assert.equal(readTimeoutMs(store({})), undefined);
  assert.equal(resolveS3Settings(STORE, KEYS, {}, undefined).silenceTimeoutMs, DEFAULT_LIMITS.silenceTimeoutMs);
  assert.equal(readTimeoutMs(store({ archive: ['--read-timeout=999999999'] })), 2 ** 31 - 1);
});

test('a mistake in the arguments of one tool leaves those of the others in force', () => {
  const configuration = store({ archive: ['--no-such-option', '--read-timeout=300'], backup: ['--read-timeout=120'] });
  assert.equal(readTimeoutMs(configuration), 120_000);
  assert.equal(awsProfile(store({ archive: ['--aws-profile=a', '--read-timeout=soon'], fetch: ['-Pb'] })), 'b');
});

test('a profile is used for a role, whatever the option is called', () => {
  for (const item of ['--aws-profile=p', '--profile=p', '-Pp']) {
    const { credentials } = resolveS3Settings(
      store({ archive: [item], backup: ['-P', 'p'] }),
      undefined,
      {},
      undefined,
    );
    assert.deepEqual(credentials, { profile: 'p' });
  }
});

test('two profiles for one store are refused, both named with their fields', () => {
  const configuration = store({ archive: ['--aws-profile=a'], restore: ['--aws-profile=b'] });
  assert.throws(() => resolveS3Settings(configuration, undefined, {}, undefined), {
    name: 'PreconditionError',
    message:
      /wal\.archiveAdditionalCommandArgs names "a", spec\.configuration\.data\.restoreAdditionalCommandArgs names "b"/,
  });
});

test('keys in the ObjectStore win over profiles, even over two', () => {
  const configuration = store({ archive: ['--aws-profile=a'], restore: ['--aws-profile=b'] });
  const { credentials } = resolveS3Settings(configuration, KEYS, {}, undefined);
  assert.deepEqual(credentials, { accessKeyId: 'i', secretAccessKey: 's' });
});

test('a request is signed with the keys of the profile; AWS_PROFILE counts where no option names one', async (t) => {
  await sharedFiles(t, { chosen: 'AKIDCHOSEN', ambient: 'AKIDAMBIENT' });
  process.env.AWS_PROFILE = 'ambient';
  for (const [credentials, keyId] of [
    [{ profile: 'chosen' }, 'AKIDCHOSEN'],
    ['chain', 'AKIDAMBIENT'],
  ] as const) {
    const { storage, requests } = await startAnswering(t, (_, response) => response.end(), { credentials });
    await storage.head('k');
    assert.match(requests[0]?.headers.authorization ?? '', new RegExp(`Credential=${keyId}/`));
  }
  const { storage } = await startAnswering(t, (_, response) => response.end(), { credentials: { profile: 'missing' } });
  const error = await failureOf(storage.head('k'));
  assert.equal(error.failure, 'misconfigured');
  assert.match(error.message, /no AWS credentials were found: check the role, the profile/);
});

type Lists = { archive?: string[]; fetch?: string[]; backup?: string[]; restore?: string[] };

function store({ archive = [], fetch = [], backup = [], restore = [] }: Lists): ObjectStoreConfiguration {
  return {
    ...STORE,
    wal: { archiveAdditionalCommandArgs: archive, restoreAdditionalCommandArgs: fetch },
    data: { additionalCommandArgs: backup, restoreAdditionalCommandArgs: restore },
  };
}

/** Shared configuration files of AWS with these profiles, in force until the test ends. */
async function sharedFiles(t: TestContext, keyIds: Record<string, string>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-aws-'));
  const { AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_PROFILE } = process.env;
  t.after(async () => {
    for (const [name, value] of Object.entries({ AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_PROFILE })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await rm(folder, { recursive: true });
  });
  const sections = Object.entries(keyIds).map(
    ([name, keyId]) => `[${name}]\naws_access_key_id = ${keyId}\naws_secret_access_key = secret\n`,
  );
  await writeFile(join(folder, 'credentials'), sections.join('\n'));
  await writeFile(join(folder, 'config'), '');
  process.env.AWS_SHARED_CREDENTIALS_FILE = join(folder, 'credentials');
  process.env.AWS_CONFIG_FILE = join(folder, 'config');
}
