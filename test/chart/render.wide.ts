// What the chart renders for eight sets of values, kept in golden/ (renew: UPDATE_GOLDEN=1).
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { readOperatorFlags } from '../../injector/flags.ts';
import { helm, helmTemplate } from './helm.ts';
import { CHART } from './values.ts';

const SETS = ['default', 'ha', 'cert-manager', 'bring-your-own', 'no-webhook', 'official', 'openshift', 'observed'];
const CRD = readFileSync(join(CHART, 'files/objectstores.yaml'), 'utf8').trim();

type Manifest = {
  kind: string;
  metadata: { name: string; namespace?: string; annotations?: Record<string, string>; labels?: Record<string, string> };
  spec?: {
    template?: { spec: PodSpec; metadata: { labels: Record<string, string> } };
    selector?: Record<string, string>;
  };
};
type PodSpec = {
  automountServiceAccountToken?: boolean;
  securityContext: Record<string, unknown>;
  containers: { args: string[]; securityContext: Record<string, unknown> & { capabilities: { drop: string[] } } }[];
};

for (const set of SETS) {
  test(`${set}: renders what is in golden/${set}.yaml`, () => {
    const text = shorten(rendered(set));
    const golden = join(import.meta.dirname, `golden/${set}.yaml`);
    if (process.env.UPDATE_GOLDEN) writeFileSync(golden, text);
    else assert.equal(text, readFileSync(golden, 'utf8'));
  });

  test(`${set}: the program takes the flags`, () => {
    const [command, ...args] = containerOf(set).args;
    assert.equal(command, 'operator');
    readOperatorFlags(args);
  });

  test(`${set}: the Pod passes the restricted standard, and Services select it`, () => {
    const { spec, metadata } = podOf(set);
    const { securityContext } = containerOf(set);
    assert.equal(spec.securityContext.runAsNonRoot, true);
    assert.deepEqual(securityContext.capabilities.drop, ['ALL']);
    assert.equal(securityContext.allowPrivilegeEscalation, false);
    assert.equal(securityContext.readOnlyRootFilesystem, true);
    assert.deepEqual(securityContext.seccompProfile, { type: 'RuntimeDefault' });
    for (const service of manifests(set).filter(({ kind }) => kind === 'Service')) {
      for (const [label, value] of Object.entries(service.spec?.selector ?? {}))
        assert.equal(metadata.labels[label], value);
    }
    assert.equal(metadata.labels.app, 'barman-cloud');
  });
}

test('helm lint --strict has nothing to say', () => {
  for (const set of SETS) {
    const { status, stdout, stderr } = helm(['lint', '--strict', CHART, ...valuesOf(set)]);
    assert.equal(status, 0, `${set}: ${stdout}${stderr}`);
  }
});

test('no name is taken twice', () => {
  for (const set of SETS) {
    const names = manifests(set).map(({ kind, metadata: { namespace, name } }) => `${kind} ${namespace ?? ''}/${name}`);
    assert.deepEqual([...new Set(names)], names, set);
  }
});

function valuesOf(set: string): string[] {
  return ['--values', set === 'ha' ? join(CHART, 'values-ha.yaml') : join(import.meta.dirname, `values/${set}.yaml`)];
}

function rendered(set: string): string {
  const { status, stdout, stderr } = helmTemplate(valuesOf(set));
  assert.equal(status, 0, stderr);
  return stdout;
}

/** The CRD and the dashboard are files of the chart, word for word: each is checked, and left out of the golden text. */
function shorten(text: string): string {
  const annotated = text.includes('team: databases\nspec:\n  group');
  if (!annotated && text.includes('kind: CustomResourceDefinition'))
    assert.ok(text.includes(CRD), 'the CRD is that of the file');
  return text
    .replace(
      /(kind: CustomResourceDefinition\n[\s\S]*?\nspec:\n)[\s\S]*?(?=---\n|$)/,
      '$1  # files/objectstores.yaml\n',
    )
    .replace(/( {2}cellar.json: \|-\n)(?: {4}.*\n)+/, '$1    # files/dashboard.json\n');
}

function manifests(set: string): Manifest[] {
  return parseAllDocuments(rendered(set)).map((document) => document.toJS() as Manifest);
}

function podOf(set: string) {
  const template = manifests(set).find(({ kind }) => kind === 'Deployment')?.spec?.template;
  assert.ok(template);
  return template;
}

function containerOf(set: string) {
  const [container] = podOf(set).spec.containers;
  assert.ok(container);
  return container;
}
