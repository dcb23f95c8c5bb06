import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { judgeKind } from '../webhook/judge-kind.ts';
import { type AdmissionAnswer, answerReview } from '../webhook/review.ts';
import { kubectlDenial, kubectlWarnings } from './kubectl-text.ts';

const GROUP = 'barmancloud.cnpg.io';
const RETENTION = 'Warning: spec.retentionPolicy: missing: nothing is ever deleted; set for example 30d';

/** The whole way from YAML to the lines in the terminal. */
async function apply(yaml: string): Promise<string> {
  const object = parse(yaml);
  const review = {
    uid: 'u',
    operation: 'CREATE',
    group: GROUP,
    kind: 'ObjectStore',
    namespace: 'default',
    name: object.metadata.name,
    subResource: '',
    object,
    oldObject: undefined,
  };
  const answer = answerReview(review, (await judgeKind('ObjectStore', review, {})).verdict);
  const lines = kubectlWarnings([answer]);
  const end = answer.response.allowed ? [] : [kubectlDenial(answer, 'judge.cellar', 'store.yaml')];
  return [...lines, ...end].join('\n');
}

const usage = (name: string) => readFileSync(join(import.meta.dirname, `fixtures/usage/${name}.yaml`), 'utf8');

test('the ObjectStore of the usage page applies, and its keeper learns that nothing is ever deleted', async () => {
  assert.equal(await apply(usage('object-store')), RETENTION);
});

test('a server name is refused with field, value and what to do instead', async () => {
  const yaml = usage('object-store').replace('    wal:', '    serverName: other\n    wal:');
  assert.equal(
    await apply(yaml),
    `${RETENTION}\nThe ObjectStore "minio-store" is invalid: spec.configuration.serverName: found "other": use the 'serverName' plugin parameter in the Cluster resource; remove it here`,
  );
});

test('a wrong word and a missing key are told together', async () => {
  const yaml = usage('object-store')
    .replace('gzip', 'gzp')
    .replace(/ {6}secretAccessKey:\n.*\n.*\n/, '');
  assert.equal(
    await apply(yaml),
    `${RETENTION}
The ObjectStore "minio-store" is invalid: 
* spec.configuration.s3Credentials: found only accessKeyId: both keys are needed; add secretAccessKey
* spec.configuration.wal.compression: found "gzp": did you mean gzip? use one of bzip2, gzip, lz4, snappy, xz, zstd`,
  );
});

test('the unfinished example of the usage page is refused with a sentence for each gap, and applies when filled in', async () => {
  const unit = 'must be a quantity such as 500m, 512Mi or 1Gi';
  const resources = 'spec.instanceSidecarConfiguration.resources';
  assert.equal(
    await apply(usage('instance-sidecar')),
    `${RETENTION}
The ObjectStore "minio-store" is invalid: 
* spec.configuration: missing: set the bucket URL in spec.configuration.destinationPath, for example s3://bucket/prefix
* ${resources}.limits[cpu]: found "YYY": ${unit}
* ${resources}.limits[memory]: found "XXX": ${unit}
* ${resources}.requests[cpu]: found "YYY": ${unit}
* ${resources}.requests[memory]: found "XXX": ${unit}`,
  );
  const filled = usage('instance-sidecar')
    .replaceAll('XXX', '512Mi')
    .replaceAll('YYY', '500m')
    .replace('# [...]', '  destinationPath: s3://backups/\n    s3Credentials: { inheritFromIAMRole: true }');
  assert.equal(await apply(filled), RETENTION);
});

test('prints other reasons as kubectl does, in one sentence with the name of the webhook', () => {
  const status = {
    status: 'Failure' as const,
    code: 403,
    reason: 'Forbidden',
    message: 'no',
    details: { name: 'a', group: GROUP, kind: 'ObjectStore', causes: [] },
  };
  const answer: AdmissionAnswer = { apiVersion: '', kind: '', response: { uid: 'u', allowed: false, status } };
  assert.equal(
    kubectlDenial(answer, 'judge.cellar', 'store.yaml'),
    'Error from server (Forbidden): error when creating "store.yaml": admission webhook "judge.cellar" denied the request: no',
  );
});

test('a warning of two doors is told once', () => {
  const answer: AdmissionAnswer = {
    apiVersion: '',
    kind: '',
    response: { uid: 'u', allowed: true, warnings: ['a', 'b'] },
  };
  assert.deepEqual(kubectlWarnings([answer, answer]), ['Warning: a', 'Warning: b']);
});

test('a denial is made of refusals only', () => {
  const allowed: AdmissionAnswer = { apiVersion: '', kind: '', response: { uid: 'u', allowed: true } };
  assert.throws(() => kubectlDenial(allowed, 'w', 's'), /refuses nothing/);
});
