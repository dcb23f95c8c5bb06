// A stand whose store is a container of Azure's emulator, as docs/stores/azure.md says it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { ObjectStore } from '../../api/objectstore.ts';
import type { TestAzurite } from '../servers/azurite.ts';
import { objectStore, type Stand } from '../stand.ts';

/** The page's ObjectStore and its Secret, with the emulator in the place of the account. The container must exist. */
export async function useAzure({ kubeApi }: Stand, azurite: TestAzurite, container: string): Promise<void> {
  const page = await readFile(join(import.meta.dirname, '../../docs/stores/azure.md'), 'utf8');
  const [, block = ''] = /^```yaml\n([\s\S]*?)^```/m.exec(page) ?? [];
  const example: ObjectStore = parse(block);
  const { connectionString: selector } = example.spec.configuration.azureCredentials ?? {};
  assert.ok(selector, 'the page shows a connection string');
  const data = { [selector.key]: Buffer.from(azurite.connectionString).toString('base64') };
  await kubeApi.apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: selector.name }, data });
  const { metadata } = objectStore({});
  const configuration = { ...example.spec.configuration, destinationPath: `${azurite.endpoint}/${container}/` };
  await kubeApi.apply({ ...example, metadata, spec: { ...example.spec, configuration } });
}
