// CRDs of cert-manager and the Prometheus operator, from their Go modules.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';

const FILES: Record<string, string[]> = {
  'github.com/cert-manager/cert-manager@v1.18.2': ['deploy/crds/crd-certificates.yaml', 'deploy/crds/crd-issuers.yaml'],
  'github.com/prometheus-operator/prometheus-operator@v0.85.0': [
    'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
    'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  ],
};

/** None when Go is not here or gives no modules, with a line that says so. */
export async function foreignCrds(): Promise<object[]> {
  try {
    const crds = await Promise.all(Object.entries(FILES).map(([module, files]) => ofModule(module, files)));
    return crds.flat();
  } catch (error) {
    console.error(`NOT COVERED: objects of cert-manager and the Prometheus operator: ${(error as Error).message}`);
    return [];
  }
}

type Crd = { metadata: { name: string } };

/** Their labels are templates of a chart. */
function named(crd: Crd): object {
  return { ...crd, metadata: { name: crd.metadata.name } };
}

async function ofModule(module: string, files: string[]): Promise<object[]> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', module], { cwd: tmpdir() });
  const { Dir: folder } = JSON.parse(stdout) as { Dir: string };
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return texts.flatMap((text) => parseAllDocuments(text).map((document) => named(document.toJS() as Crd)));
}
