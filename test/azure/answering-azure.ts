// An HTTP server that answers as a test tells it, and our Azure adapter on it: for answers that the emulator does not give.
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { createAzureStorage } from '../../sidecar/store/azure.ts';
import type { AzureSettings } from '../../sidecar/store/azure-settings.ts';
import { azureSettings } from './settings.ts';

/** The server, its requests so far, and a storage on it; both are closed when the test ends. */
export async function startAnsweringAzure(
  t: TestContext,
  answer: RequestListener,
  overrides: Partial<AzureSettings> = {},
  note?: (text: string) => void,
) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const door = { endpoint: `http://127.0.0.1:${port}`, account: 'account', key: Buffer.from('key').toString('base64') };
  const storage = createAzureStorage(azureSettings(door, overrides), note);
  t.after(() => {
    storage.close();
    server.closeAllConnections();
    server.close();
  });
  return { storage, requests };
}
