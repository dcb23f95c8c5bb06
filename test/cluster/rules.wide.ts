// Every rule of admission through the real API server: the first lines of each fixture are what kubectl prints. What a
// fixture says was there before is stored past the door, by a user of whom it is not asked.
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test } from 'node:test';
import { type AdmissionFixture, readAdmissionFixtures } from '../tools/admission-fixtures.ts';
import { admissionConfigurations } from './admission-door.ts';
import { useApiServer } from './api-server.ts';
import { until } from './child.ts';
import { OUR_RULES, operatorRoles } from './operator-roles.ts';
import { makeDoorTls, startReplica } from './replica.ts';

const HOME = 'cnpg-system';
const ACCOUNT = 'plugin-barman-cloud';
const PLAIN = 'plain';
const STRICT = 'strict';
const UNASKED = 'loader';
const KINDS = 'objectstores,clusters,backups,scheduledbackups,secrets';

const fixtures = readAdmissionFixtures('admission');

const api = await useApiServer();
const { kubectl } = api;
await api.makeNamespace(HOME, ACCOUNT);
const namespaces = [...new Set(fixtures.flatMap(({ documents }) => documents.map(namespaceOf)))];
for (const namespace of namespaces) await api.makeNamespace(namespace);
await kubectl.apply(...operatorRoles(HOME, ACCOUNT, OUR_RULES));
const tls = await makeDoorTls(api.folder);
const mount = await api.mountAccount(HOME, ACCOUNT);
for (const [user, ...more] of [[PLAIN], [STRICT, '--strict-references']] as const) {
  const flags = ['--webhook-address=127.0.0.1:0', '--look-up-secrets', ...more];
  const replica = await startReplica(api, { name: user, mount, tls, flags });
  await kubectl.apply(...(await admissionConfigurations(replica, tls, { name: user, onlyUser: user })));
}

for (const fixture of fixtures) {
  test(`${basename(fixture.file)}: the API server answers kubectl with what its first lines say`, async (t) => {
    const stored = isDeletion(fixture) ? fixture.documents : fixture.documents.slice(0, -1);
    const user = fixture.command.includes('(strictReferences)') ? STRICT : PLAIN;
    t.after(() => cleared(stored));
    for (const document of stored) {
      const { status, stderr } = await kubectl.tries(['apply', '-f', '-', ...as(UNASKED)], JSON.stringify(document));
      if (status === 0) continue;
      // The schema of the API server itself refuses what an older CRD may have stored.
      t.skip(`cannot be stored: ${stderr.trim()}`);
      return;
    }
    let printed: string[] = [];
    // The replica hears of what is stored a moment later.
    await until(
      'the answer',
      async () => {
        printed = await answer(fixture, user);
        return fixture.prints.every((line) => printed.includes(line));
      },
      { limitMs: 10_000 },
    ).catch(() => undefined);
    assert.deepEqual(
      printed.filter((line) => fixture.prints.includes(line) || !line.startsWith('Warning: ')),
      fixture.prints,
    );
  });
}

/** What kubectl prints when the last document is written, or deleted, without effect. */
async function answer({ command, documents }: AdmissionFixture, user: string): Promise<string[]> {
  const verb = isDeletion({ command }) ? 'delete' : 'apply';
  const subject = JSON.stringify(documents.at(-1));
  const { stdout, stderr } = await kubectl.tries([verb, '-f', '-', '--dry-run=server', ...as(user)], subject);
  const lines = `${stderr}${stdout}`.split('\n').filter((line) => line !== '');
  return lines.map((line) =>
    line
      .trimEnd()
      .replace(/ \(server dry run\)$/, '')
      .replace(/ deleted from \S+ namespace$/, ' deleted'),
  );
}

function isDeletion({ command }: { command: string }): boolean {
  return command.includes('kubectl delete');
}

async function cleared(stored: readonly unknown[]): Promise<void> {
  if (stored.length === 0) return;
  for (const namespace of new Set(stored.map(namespaceOf))) {
    await kubectl.does(['delete', KINDS, '--all', '-n', namespace, '--wait=false', ...as(UNASKED)]);
  }
}

function as(user: string): string[] {
  return [`--as=${user}`, '--as-group=system:masters'];
}

function namespaceOf(document: unknown): string {
  return (document as { metadata: { namespace: string } }).metadata.namespace;
}
