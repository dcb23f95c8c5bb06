// Google as seen through a proxy: its store and its issuer of tokens under their own names, with certificates of an
// authority of ours, behind a proxy that opens a tunnel to them. What uses its real settings can be tested so.
import { createVerify, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { issue, makeAuthority } from '../../api/wire/certificates.ts';
import { GcsDouble } from '../servers/gcs-double.ts';

const HOUR_MS = 3_600_000;
const NAMES = ['storage.googleapis.com', 'oauth2.googleapis.com', 'sts.googleapis.com'];

export type GoogleNetwork = {
  /** For HTTPS_PROXY. */
  proxy: string;
  /** PEM, for endpointCA. */
  authority: string;
  store: GcsDouble;
  /** Hosts that the proxy has opened a tunnel to. */
  tunnels: string[];
  /** Who the issuer knows: keys by address of the service account. */
  accounts: Map<string, KeyObject>;
  /** Subject tokens that the exchange accepts. */
  subjects: Set<string>;
  /** Forms that were sent to an issuer. */
  forms: URLSearchParams[];
  lifetimeSeconds: number;
  /** An answer of the issuer instead of a token, when it is set. */
  refusal: { status: number; body: string } | undefined;
};

/** Serves until the test ends. */
export async function startGoogleNetwork(t: TestContext): Promise<GoogleNetwork> {
  const authority = await makeAuthority({ commonName: 'a test', validMs: HOUR_MS });
  const request = { commonName: 'google', dnsNames: NAMES, usages: ['server' as const], validMs: HOUR_MS };
  const { cert, key } = await issue(authority, request);
  const store = new GcsDouble();
  store.buckets.set('bucket', new Map());
  store.tokens = new Set();
  const secure = https.createServer({ cert, key }, (asked, response) => {
    if (asked.headers.host === 'storage.googleapis.com') return store.listener(asked, response);
    void answer(network, asked).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
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
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  const network: GoogleNetwork = {
    proxy: `http://127.0.0.1:${await listen(proxy)}`,
    authority: authority.cert,
    store,
    tunnels,
    accounts: new Map(),
    subjects: new Set(),
    forms: [],
    lifetimeSeconds: 3600,
    refusal: undefined,
  };
  t.after(() => {
    for (const server of [secure, proxy]) {
      server.closeAllConnections();
      server.close();
    }
  });
  return network;
}

async function answer(network: GoogleNetwork, request: IncomingMessage): Promise<{ status: number; body: string }> {
  const form = new URLSearchParams(await text(request));
  network.forms.push(form);
  if (network.refusal !== undefined) return network.refusal;
  const trouble = request.headers.host === 'sts.googleapis.com' ? exchange(network, form) : verify(network, form);
  if (trouble !== undefined) {
    return { status: 400, body: JSON.stringify({ error: 'invalid_grant', error_description: trouble }) };
  }
  const token = `ya29.token-${network.forms.length}`;
  network.store.tokens?.add(token);
  const issued = { access_token: token, expires_in: network.lifetimeSeconds, token_type: 'Bearer' };
  const kind = { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' };
  return { status: 200, body: JSON.stringify({ ...issued, ...kind }) };
}

/** What is wrong with a signed assertion of a service account. */
function verify({ accounts }: GoogleNetwork, form: URLSearchParams): string | undefined {
  if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') return 'wrong grant type';
  const [head = '', body = '', signature = ''] = (form.get('assertion') ?? '').split('.');
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString());
  const key = accounts.get(claims.iss);
  if (key === undefined) return 'Invalid grant: account not found';
  const isSigned = createVerify('RSA-SHA256').update(`${head}.${body}`).verify(key, signature, 'base64url');
  if (!isSigned) return 'Invalid JWT Signature.';
  if (claims.aud !== 'https://oauth2.googleapis.com/token') return 'wrong audience';
  if (claims.scope !== 'https://www.googleapis.com/auth/devstorage.read_write') return 'wrong scope';
  return Math.abs(claims.iat - Date.now() / 1000) < 300 ? undefined : 'Invalid JWT: clocks differ';
}

/** What is wrong with the exchange of a foreign token. */
function exchange({ subjects }: GoogleNetwork, form: URLSearchParams): string | undefined {
  if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:token-exchange') return 'wrong grant type';
  return subjects.has(form.get('subject_token') ?? '') ? undefined : 'The subject token is not known.';
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
