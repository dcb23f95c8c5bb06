// A small API server on loopback, over HTTPS: the same paths, the same Status errors, resource versions, list, watch,
// status subresources, and our admission doors in front of writes. Enough for every request that our processes send.
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { applyPatch, type Operation } from 'jsonpatch';
import { issue, makeAuthority } from '../api/wire/certificates.ts';
import { type Door, review, type Verdict } from './kube/admission.ts';
import { createObjects, type KubeObject, type KubeObjects, StatusError, type WatchEvent } from './kube/objects.ts';
import { type Address, addressOf, apiVersionOf, resourceOf } from './kube/resources.ts';

export type KubeApi = {
  host: string;
  port: number;
  /** Authority that the service-account folder trusts, PEM. */
  ca: string;
  objects: KubeObjects;
  /** `GET /path` of every request that came in. */
  requests: string[];
  /** From now on requests for which this says true are Forbidden, as where RBAC does not grant them. */
  forbid(rule: (method: string, path: string) => boolean): void;
  /** Runs before each request is answered. */
  before: ((method: string, path: string) => void | Promise<void>) | undefined;
  /** Sees every request as it comes in, also those that nothing here serves. */
  onRequest: ((request: string) => void) | undefined;
  /** Sees the body of each request that is acted upon. */
  onBody: ((method: string, body: unknown) => void) | undefined;
  /** A new token counts from now on, and the old one is refused. */
  rotateToken(): void;
  /** From now on writes of the door's kind pass it. */
  addDoor(door: Door): void;
  /** Creates or updates as `kubectl apply` does, through the doors; throws Denied when one refuses. */
  apply(object: KubeObject, namespace?: string): Promise<{ object: KubeObject; created: boolean; warnings: string[] }>;
  get(kind: string, name: string, namespace?: string): KubeObject;
  remove(kind: string, name: string, namespace?: string): void;
  /** Writes the status of a stored object, as the operator does. */
  setStatus(kind: string, name: string, status: unknown, namespace?: string): KubeObject;
  /** Fills a folder with token, ca.crt and namespace. */
  writeServiceAccount(folder: string, namespace?: string): Promise<void>;
  stop(): Promise<void>;
};

/** An admission door refused a write. */
export class Denied extends Error {
  override readonly name = 'Denied';
  readonly verdict: Verdict;

  constructor(verdict: Verdict) {
    super(
      `admission webhook "${verdict.door}" denied the request: ${verdict.answer.response.status?.message ?? 'without explanation'}`,
    );
    this.verdict = verdict;
  }
}

const HOST = '127.0.0.1';
const VALID_MS = 24 * 3600_000;

/** Starts it on a free port, with a certificate and a token of its own. */
export async function startKubeApi(options: { namespace?: string } = {}): Promise<KubeApi> {
  const home = options.namespace ?? 'default';
  const authority = await makeAuthority({ commonName: 'kubernetes', validMs: VALID_MS });
  const names = { dnsNames: ['localhost', 'kubernetes.default.svc'], ipAddresses: [HOST] };
  const tls = await issue(authority, { commonName: 'kube-apiserver', ...names, usages: ['server'], validMs: VALID_MS });
  let token = randomBytes(24).toString('base64url');
  let isForbidden: (method: string, path: string) => boolean = () => false;
  const objects = createObjects();
  const requests: string[] = [];
  const doors: Door[] = [];

  const server = createServer({ key: tls.key, cert: tls.cert }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    api.onRequest?.(`${request.method} ${request.url}`);
    serve(request, response).catch((error: unknown) => answerError(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, HOST, resolve);
  });
  const { port } = server.address() as AddressInfo;

  const api: KubeApi = {
    host: HOST,
    port,
    ca: authority.cert,
    objects,
    requests,
    before: undefined,
    onRequest: undefined,
    onBody: undefined,
    forbid: (rule) => {
      isForbidden = rule;
    },
    rotateToken() {
      token = randomBytes(24).toString('base64url');
    },
    addDoor: (door) => doors.push(door),
    apply,
    get: (kind, name, namespace = home) => objects.get(resourceOf(kind), namespace, name),
    remove(kind, name, namespace = home) {
      objects.remove(resourceOf(kind), namespace, name);
    },
    setStatus(kind, name, status, namespace = home) {
      const resource = resourceOf(kind);
      return objects.replace(resource, namespace, { metadata: { name }, status }, 'status');
    },
    async writeServiceAccount(folder, namespace = home) {
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'ca.crt'), authority.cert);
      await writeFile(join(folder, 'namespace'), namespace);
      await writeFile(join(folder, 'token'), token, { mode: 0o600 });
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return api;

  async function apply(wanted: KubeObject, namespace = wanted.metadata.namespace ?? home) {
    const resource = resourceOf(wanted.kind ?? '');
    const known = objects
      .list(resource, namespace)
      .items.find((object) => object.metadata.name === wanted.metadata.name);
    const object = structuredClone({ ...wanted, metadata: { ...wanted.metadata, namespace } });
    const operation = known === undefined ? ('CREATE' as const) : ('UPDATE' as const);
    const warnings = await admit({ operation, namespace, object, oldObject: known ?? null });
    const stored =
      known === undefined
        ? objects.create(resource, namespace, object)
        : objects.replace(resource, namespace, object, 'object');
    return { object: stored, created: known === undefined, warnings };
  }

  /** Mutating doors first, then validating ones; the first refusal ends the write. */
  async function admit(request: Parameters<typeof review>[2]): Promise<string[]> {
    const kind = request.object.kind ?? '';
    const concerned = doors.filter((door) => door.kind === kind);
    const ordered = [
      ...concerned.filter((door) => door.phase === 'mutating'),
      ...concerned.filter((door) => door.phase === 'validating'),
    ];
    const warnings: string[] = [];
    for (const door of ordered) {
      const verdict = await review(door, resourceOf(kind), request);
      warnings.push(...(verdict.answer.response.warnings ?? []));
      if (!verdict.allowed) throw new Denied(verdict);
      if (verdict.patch !== undefined) applyPatch(request.object, verdict.patch as Operation[]);
    }
    return warnings;
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `https://${HOST}`);
    if (request.headers.authorization !== `Bearer ${token}`) throw new StatusError(401, 'Unauthorized', 'Unauthorized');
    const { method = '' } = request;
    await api.before?.(method, url.pathname);
    if (isForbidden(method, url.pathname)) {
      throw new StatusError(403, 'Forbidden', `${method} ${url.pathname} is forbidden: no rule of a Role allows it`);
    }
    if (url.pathname === '/version') return answer(response, 200, { major: '1', minor: '34', gitVersion: 'v1.34.0' });
    const address = addressOf(url.pathname);
    if (address === undefined) {
      throw new StatusError(404, 'NotFound', 'the server could not find the requested resource');
    }
    const watching = url.searchParams.get('watch');
    if (request.method === 'GET' && (watching === 'true' || watching === '1')) return watch(address, request, response);
    const body = await readBody(request);
    api.onBody?.(method, body);
    const [status, result] = act(address, request, url, body);
    return answer(response, status, result);
  }

  function act(address: Address, request: IncomingMessage, url: URL, body: unknown): [number, unknown] {
    const { resource, name } = address;
    const namespace = address.namespace ?? home;
    const part = address.subresource === 'status' ? 'status' : 'object';
    const contentType = request.headers['content-type'] ?? '';
    switch (request.method) {
      case 'GET':
        return [200, name === undefined ? listOf(address, url.searchParams) : objects.get(resource, namespace, name)];
      case 'POST':
        return [201, objects.create(resource, namespace, named(body))];
      case 'PUT':
        return [200, objects.replace(resource, namespace, named(body), part)];
      case 'PATCH':
        return [200, objects.patch(resource, namespace, name ?? '', body, { contentType, part })];
      case 'DELETE':
        refuseOther(objects.get(resource, namespace, name ?? ''), body);
        objects.remove(resource, namespace, name ?? '');
        return [200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' }];
      default:
        throw new StatusError(
          405,
          'MethodNotAllowed',
          'the server does not allow this method on the requested resource',
        );
    }
  }

  /** In pages where a limit asks for it; the token of a page is the number of objects before the next one. */
  function listOf({ resource, namespace }: Address, query: URLSearchParams): unknown {
    const { items, resourceVersion } = objects.list(resource, namespace);
    const first = Number(query.get('continue') ?? 0);
    const end = first + Number(query.get('limit') ?? items.length);
    return {
      apiVersion: apiVersionOf(resource),
      kind: `${resource.kind}List`,
      metadata: { resourceVersion, ...(end < items.length ? { continue: String(end) } : {}) },
      items: items.slice(first, end),
    };
  }

  function watch(address: Address, request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const send = (event: WatchEvent): void => void response.write(`${JSON.stringify(event)}\n`);
    const end = objects.watch(address.resource, address.namespace, send);
    request.once('close', end);
  }
}

/** The preconditions of DeleteOptions. */
function refuseOther({ metadata }: KubeObject, body: unknown): void {
  const { uid } = (body as { preconditions?: { uid?: string } } | undefined)?.preconditions ?? {};
  if (uid === undefined || uid === metadata.uid) return;
  const message = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`;
  throw new StatusError(409, 'Conflict', message);
}

/** Events are posted with `generateName` only. */
function named(body: unknown): KubeObject {
  const object = body as KubeObject & { metadata: { generateName?: string } };
  if (typeof object?.metadata !== 'object') throw new StatusError(400, 'BadRequest', 'the object has no metadata');
  const { generateName, ...metadata } = object.metadata;
  if (metadata.name || generateName === undefined) return object;
  return { ...object, metadata: { ...metadata, name: `${generateName}${randomBytes(3).toString('hex')}` } };
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  if (chunks.length === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new StatusError(400, 'BadRequest', 'the body is not JSON');
  }
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function answerError(response: ServerResponse, error: unknown): void {
  const { code, reason, message } =
    error instanceof StatusError ? error : new StatusError(500, 'InternalError', String(error));
  answer(response, code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code });
}
