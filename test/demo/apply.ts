// Step 2: ObjectStores go to the webhook exactly as the API server sends them; one is good, two are not.
import type { ObjectStore } from '../../api/objectstore.ts';
import type { KubeObject } from '../kube/objects.ts';
import { Denied } from '../kube-api.ts';
import { kubectlDenial } from '../kubectl-text.ts';
import { asObject, type DemoDocuments } from './documents.ts';
import type { Parts } from './parts.ts';
import { expect, type Step, Unexpected } from './report.ts';

/** The file that the user of kubectl would name. */
const FILE = 'object-store.yaml';

/** Applies what the usage page applies; shows what a user of kubectl would see. */
export async function applyDocuments(step: Step, parts: Parts, documents: DemoDocuments): Promise<void> {
  const { store, storeBis, secret, cluster } = documents;
  await parts.kubeApi.apply(secret);
  step.say(
    'kubectl apply -f object-store.yaml, the ObjectStore of the usage page with the address of the S3 server above,\nand immediateCheckpoint, so that the backup does not wait for the next checkpoint:',
  );
  await applyGood(step, parts, asObject(store));

  step.say('\nThe same with serverName: other');
  const named = structuredClone(store);
  named.spec.configuration.serverName = 'other';
  const about = await applyBad(step, parts, asObject(named));
  refusesAll(about, { 'spec.configuration.serverName': 'other' });

  step.say('\nThe same with compression: gzp and without secretAccessKey: both problems in one answer');
  const broken = withMistakes(store);
  const both = await applyBad(step, parts, broken);
  refusesAll(both, {
    'spec.configuration.wal.compression': 'gzp',
    'spec.configuration.s3Credentials': 'secretAccessKey',
  });

  step.say('\nA second store for the recovered Cluster, and the Cluster of the usage page');
  await applyGood(step, parts, asObject(storeBis));
  await applyGood(step, parts, asObject(cluster));
}

async function applyGood(step: Step, parts: Parts, object: KubeObject): Promise<void> {
  const { created, warnings } = await parts.kubeApi.apply(object);
  for (const warning of new Set(warnings)) step.say(`Warning: ${warning}`);
  const group = object.apiVersion?.split('/')[0] ?? '';
  step.say(`${object.kind?.toLowerCase()}.${group}/${object.metadata.name} ${created ? 'created' : 'configured'}`);
}

/** Applies what has to be refused and returns the refusal. */
async function applyBad(step: Step, parts: Parts, object: KubeObject): Promise<string> {
  try {
    await parts.kubeApi.apply(object);
  } catch (error) {
    if (!(error instanceof Denied)) throw error;
    const text = kubectlDenial(error.verdict.answer, error.verdict.door, FILE);
    step.say(text);
    return text;
  }
  throw new Unexpected('a refusal by the webhook', 'this ObjectStore was allowed');
}

function refusesAll(message: string, problems: Record<string, string>): void {
  for (const [field, found] of Object.entries(problems)) {
    const said = message.includes(field) && message.includes(found);
    expect(said, `a refusal that names ${field} and ${found}`, message);
  }
}

/** With a value that no schema allows, as somebody would mistype it, and half of the credentials. */
function withMistakes(store: ObjectStore): KubeObject {
  const { configuration } = store.spec;
  const { secretAccessKey: _, ...s3Credentials } = configuration.s3Credentials ?? {};
  const mistaken = { ...configuration, s3Credentials, wal: { ...configuration.wal, compression: 'gzp' } };
  return { ...asObject(store), spec: { ...store.spec, configuration: mistaken } };
}
