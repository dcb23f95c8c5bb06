// Google's metadata server on loopback, as its public documentation describes the tokens of a service account.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

const PATH = '/computeMetadata/v1/instance/service-accounts/default/token';

export type GoogleMetadata = {
  /** `host:port`, for GCE_METADATA_HOST. */
  host: string;
  /** Tokens given so far. */
  given: string[];
  /** How long the next ones last, seconds. */
  lifetimeSeconds: number;
  /** Answers instead, when it is set. */
  instead: ((response: ServerResponse) => void) | undefined;
};

/** Serves until the test ends. */
export async function startGoogleMetadata(t: TestContext): Promise<GoogleMetadata> {
  const server = createServer((request, response) => answer(metadata, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const metadata: GoogleMetadata = { host: `127.0.0.1:${port}`, given: [], lifetimeSeconds: 3600, instead: undefined };
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return metadata;
}

function answer(metadata: GoogleMetadata, { url = '', headers }: IncomingMessage, response: ServerResponse): void {
  // Without the header somebody was tricked into asking.
  if (headers['metadata-flavor'] !== 'Google') response.writeHead(403).end('Missing Metadata-Flavor:Google');
  else if (metadata.instead !== undefined) metadata.instead(response);
  else if (new URL(url, 'http://x').pathname !== PATH) response.writeHead(404).end();
  else give(metadata, response);
}

function give(metadata: GoogleMetadata, response: ServerResponse): void {
  const token = `ya29.of-metadata-${metadata.given.length + 1}`;
  metadata.given.push(token);
  const body = { access_token: token, expires_in: metadata.lifetimeSeconds, token_type: 'Bearer' };
  response.writeHead(200, { 'metadata-flavor': 'Google', 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
