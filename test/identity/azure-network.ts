// Azure as seen through a proxy: a storage account and Microsoft's issuer of tokens under their own names, with certificates
// of an authority of ours, behind a proxy that opens a tunnel to them; and the metadata server of a machine, which is asked
// directly. Written from Microsoft's public pages on managed identities and on client assertions.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { issue, makeAuthority } from '../../api/wire/certificates.ts';

const HOUR_MS = 3_600_000;
const STORE = 'account.blob.core.windows.net';
const ISSUER = 'login.microsoftonline.com';

export type AzureNetwork = {
  /** For HTTPS_PROXY. */
  proxy: string;
  /** PEM, for endpointCA. */
  authority: string;
  /** Where the metadata server is. */
  metadata: string;
  /** Hosts that the proxy has opened a tunnel to. */
  tunnels: string[];
  /** Requests to the store. */
  stored: IncomingMessage[];
  /** Requests for tokens: path, and what was asked. */
  asked: { path: string; fields: URLSearchParams; metadata: string | undefined }[];
  /** Tokens given so far. */
  given: string[];
  lifetimeSeconds: number;
  /** Answers instead of giving a token, when it is set. */
  instead: ((response: ServerResponse) => void) | undefined;
};

/** Serves until the test ends. The store answers every HEAD with an empty object to who has a token of ours. */
export async function startAzureNetwork(t: TestContext): Promise<AzureNetwork> {
  const authority = await makeAuthority({ commonName: 'a test', validMs: HOUR_MS });
  const names = { commonName: 'azure', dnsNames: [STORE, ISSUER], usages: ['server' as const], validMs: HOUR_MS };
  const { cert, key } = await issue(authority, names);
  const secure = https.createServer({ cert, key }, (request, response) => {
    if (request.headers.host === STORE) answerStored(network, request, response);
    else void answerForm(network, request, response);
  });
  const machine = createServer((request, response) => {
    const { pathname: path, searchParams: fields } = new URL(request.url ?? '', 'http://x');
    giveToken(network, { path, fields, metadata: request.headers.metadata?.toString() }, response);
  });
  const tunnels: string[] = [];
  const proxy = createServer((_request, response) => response.writeHead(405).end());
  const securePort = await listen(secure);
  proxy.on('connect', ({ url = '' }: IncomingMessage, socket) => {
    tunnels.push(url);
    const onward = connect(securePort, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
    t.after(() => socket.destroy());
  });
  const network: AzureNetwork = {
    proxy: `http://127.0.0.1:${await listen(proxy)}`,
    authority: authority.cert,
    metadata: `http://127.0.0.1:${await listen(machine)}`,
    ...{ tunnels, stored: [], asked: [], given: [], lifetimeSeconds: 3600, instead: undefined },
  };
  t.after(() => {
    for (const server of [secure, machine, proxy]) {
      server.closeAllConnections();
      server.close();
    }
  });
  return network;
}

function answerStored(network: AzureNetwork, request: IncomingMessage, response: ServerResponse): void {
  network.stored.push(request);
  const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  if (!network.given.includes(token)) response.writeHead(403, { 'x-ms-error-code': 'AuthenticationFailed' }).end();
  else
    response.writeHead(200, { etag: '"0x1"', 'content-length': '0', 'last-modified': new Date(0).toUTCString() }).end();
}

async function answerForm(network: AzureNetwork, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const fields = new URLSearchParams(await text(request));
  giveToken(network, { path: request.url ?? '', fields, metadata: undefined }, response);
}

function giveToken(network: AzureNetwork, asked: AzureNetwork['asked'][number], response: ServerResponse): void {
  network.asked.push(asked);
  if (network.instead !== undefined) {
    network.instead(response);
    return;
  }
  const token = `token-${network.given.length + 1}`;
  network.given.push(token);
  const body = { access_token: token, expires_in: String(network.lifetimeSeconds), token_type: 'Bearer' };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
