// The fixtures of test/fixtures/admission, one file for each rule and further ones for its cases, and of
// test/fixtures/usage, the examples that everybody begins with. The comment on top is
// the command and what kubectl prints of it; the last document is the one that the command is about; the documents before
// it are there already (the stored form of the last one is among them on an update).
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { isJudgedKind } from '../../api/judged-kinds.ts';
import { childOf } from '../../api/schema.ts';
import { judgeKind } from '../../webhook/judge-kind.ts';
import type { LookUps } from '../../webhook/look-ups.ts';
import { type AdmissionAnswer, answerReview, readReview } from '../../webhook/review.ts';
import { kubectlDenial, kubectlWarnings } from '../kubectl-text.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');

export type AdmissionFixture = {
  file: string;
  /** The rule that the file is about, of those in `admission`. */
  rule: string;
  command: string;
  /** Lines that kubectl prints. */
  prints: string[];
  documents: Record<string, unknown>[];
  /** The file below its comment. */
  body: string;
};

export function readAdmissionFixtures(folder: 'admission' | 'usage'): AdmissionFixture[] {
  return globSync(`${folder}/*.yaml`, { cwd: FIXTURES })
    .sort()
    .map((file) => readAdmissionFixture(join(FIXTURES, file)));
}

function readAdmissionFixture(file: string): AdmissionFixture {
  const text = readFileSync(file, 'utf8');
  const head = /^(#.*\n)*/.exec(text)?.[0] ?? '';
  const [command = '', ...prints] = head
    .split('\n')
    .slice(0, -1)
    .map((line) => line.replace(/^# ?/, ''));
  const body = text.slice(head.length);
  const documents = parseAllDocuments(body).map((document) => document.toJS());
  return { file, rule: basename(file, '.yaml').split('-')[0] ?? '', command, prints, documents, body };
}

/** The whole file, with other lines for what kubectl prints, but for blanks at their ends. */
export function fixtureText({ command, body }: AdmissionFixture, prints: readonly string[]): string {
  return `${[command, ...prints].map((line) => `# ${line.trimEnd()}`).join('\n')}\n${body}`;
}

/** Sends the command through the envelope, as JSON both ways. */
export async function askFixture({ command, documents }: AdmissionFixture): Promise<AdmissionAnswer> {
  const subject = documents.at(-1);
  const stored = documents.slice(0, -1);
  const kind = childOf(subject, 'kind');
  if (!isJudgedKind(kind)) throw new Error(`no kind that is judged: ${kind}`);
  const old = stored.find((document) => placeOf(document) === placeOf(subject));
  const operation = command.includes('kubectl delete') ? 'DELETE' : old === undefined ? 'CREATE' : 'UPDATE';
  const review = readReview(JSON.parse(JSON.stringify(envelope(operation, subject, old))));
  const judgement = await judgeKind(kind, review, {
    ...(stored.length === 0 ? {} : { lookUps: lookUpsOf(documents) }),
    strictReferences: command.includes('(strictReferences)'),
  });
  return JSON.parse(JSON.stringify(answerReview(review, judgement.verdict)));
}

/** What kubectl prints of the answer. */
export function printedOf({ command, documents, file }: AdmissionFixture, answer: AdmissionAnswer): string[] {
  const subject = documents.at(-1);
  const warnings = kubectlWarnings([answer]);
  if (!answer.response.allowed) {
    return [...warnings, ...kubectlDenial(answer, 'admission.barmancloud.cnpg.io', basename(file)).split('\n')];
  }
  const [group] = String(childOf(subject, 'apiVersion')).split('/');
  const name = `${String(childOf(subject, 'kind')).toLowerCase()}.${group}/${childOf(childOf(subject, 'metadata'), 'name')}`;
  if (command.includes('kubectl delete')) return [...warnings, `${name.replace(/\/(.*)/, ' "$1"')} deleted`];
  const stored = documents.slice(0, -1).some((document) => placeOf(document) === placeOf(subject));
  return [...warnings, `${name} ${stored ? 'configured' : 'created'}`];
}

function envelope(operation: string, subject: unknown, old: unknown) {
  const metadata = childOf(subject, 'metadata');
  const [group, version] = String(childOf(subject, 'apiVersion')).split('/');
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'a-uid',
      kind: { group, version, kind: childOf(subject, 'kind') },
      operation,
      namespace: childOf(metadata, 'namespace'),
      name: childOf(metadata, 'name'),
      object: operation === 'DELETE' ? null : subject,
      oldObject: operation === 'DELETE' ? subject : (old ?? null),
    },
  };
}

/** The documents of the file are all that there is. */
function lookUpsOf(documents: Record<string, unknown>[]): LookUps {
  const stored = documents.slice(0, -1);
  const all = (kind: string) => stored.filter((document) => document.kind === kind);
  const secrets = all('Secret');
  return {
    clusters: async () => all('Cluster'),
    objectStores: async () => all('ObjectStore'),
    backup: async (namespace, name) => all('Backup').find((found) => placeOf(found) === `Backup ${namespace}/${name}`),
    isNamespaceTerminating: async () => false,
    ...(secrets.length === 0
      ? {}
      : {
          secretKeys: async (namespace, name) => {
            const secret = secrets.find((found) => placeOf(found) === `Secret ${namespace}/${name}`);
            return secret === undefined ? undefined : Object.keys(childOf(secret, 'stringData') ?? {});
          },
        }),
  };
}

function placeOf(document: unknown): string {
  const metadata = childOf(document, 'metadata');
  return `${childOf(document, 'kind')} ${childOf(metadata, 'namespace')}/${childOf(metadata, 'name')}`;
}
