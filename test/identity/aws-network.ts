// The logins of AWS on loopback, as its public documentation describes them: the Security Token Service for web identity,
// the agent of EKS Pod Identity, the instance metadata service in its second version; and a store that looks at keys.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';

const ROLE = 'archiver';
const SESSION = 'token of the metadata session';

export type AwsNetwork = {
  /** Where all of it is. */
  endpoint: string;
  /** Requests for keys: method, path, what was asked, and the headers. */
  asked: { method: string; path: string; fields: URLSearchParams; headers: IncomingMessage['headers'] }[];
  /** Access key ids that the store was used with, in order. */
  used: string[];
  /** Session tokens that came with them. */
  tokens: string[];
  /** Keys given so far. */
  given: string[];
  lifetimeSeconds: number;
  /** Answers instead of giving keys, when it is set. */
  instead: ((response: ServerResponse) => void) | undefined;
};

/** Serves until the test ends. */
export async function startAwsNetwork(t: TestContext): Promise<AwsNetwork> {
  const server = createServer((request, response) => void answer(network, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const network: AwsNetwork = {
    ...{ endpoint, asked: [], used: [], tokens: [], given: [], lifetimeSeconds: 3600, instead: undefined },
  };
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return network;
}

async function answer(network: AwsNetwork, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = '', headers } = request;
  const { pathname: path, searchParams } = new URL(request.url ?? '', 'http://x');
  const body = await text(request);
  if (path.startsWith('/bucket')) {
    network.used.push(/Credential=([^/]+)/.exec(headers.authorization ?? '')?.[1] ?? '');
    network.tokens.push(headers['x-amz-security-token']?.toString() ?? '');
    response.writeHead(200, { etag: '"1"', 'content-length': '0' }).end();
    return;
  }
  network.asked.push({ method, path, headers, fields: method === 'POST' ? new URLSearchParams(body) : searchParams });
  if (path === '/latest/api/token') {
    if (method === 'PUT') response.end(SESSION);
    else response.writeHead(405).end();
  } else if (path === '/latest/meta-data/iam/security-credentials/') response.end(ROLE);
  else if (network.instead !== undefined) network.instead(response);
  else if (path === '/') giveBySts(network, response);
  else if (path.startsWith('/latest/') && headers['x-aws-ec2-metadata-token'] !== SESSION)
    response.writeHead(401).end();
  else giveAsJson(network, response);
}

function giveBySts(network: AwsNetwork, response: ServerResponse): void {
  const { id, secret, token, end } = nextKeys(network);
  const keys = `<AccessKeyId>${id}</AccessKeyId><SecretAccessKey>${secret}</SecretAccessKey>`;
  const rest = `<SessionToken>${token}</SessionToken><Expiration>${end}</Expiration>`;
  const result = `<AssumeRoleWithWebIdentityResult><Credentials>${keys}${rest}</Credentials></AssumeRoleWithWebIdentityResult>`;
  response.writeHead(200, { 'content-type': 'text/xml' });
  response.end(`<AssumeRoleWithWebIdentityResponse>${result}</AssumeRoleWithWebIdentityResponse>`);
}

function giveAsJson(network: AwsNetwork, response: ServerResponse): void {
  const { id, secret, token, end } = nextKeys(network);
  const keys = { Code: 'Success', AccessKeyId: id, SecretAccessKey: secret, Token: token, Expiration: end };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(keys));
}

function nextKeys(network: AwsNetwork) {
  const id = `KEY${network.given.length + 1}`;
  network.given.push(id);
  const end = new Date(Date.now() + network.lifetimeSeconds * 1000).toISOString().replace(/\.\d+/, '');
  return { id, secret: `secret of ${id}`, token: `session of ${id}`, end };
}
