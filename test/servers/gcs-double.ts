// Google Cloud Storage as its public documentation describes the JSON API, strict where the emulator is lax: logins,
// digests, sizes of chunks, what a session has, preconditions. Objects are in memory.
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { crc32c } from '@node-rs/crc32';

export type DoubleObject = {
  bytes: Buffer;
  generation: string;
  timeCreated: string;
  metadata: Record<string, string>;
  kmsKeyName?: string;
};

export type SeenRequest = { method: string; url: URL; headers: IncomingMessage['headers'] };

/** Answers a request itself, or leaves it to the double by returning false. */
export type Interference = (request: SeenRequest, response: ServerResponse) => boolean;

type Session = { bucket: string; query: URLSearchParams; resource: Resource; bytes: Buffer; done?: DoubleObject };
type Resource = { name?: string; crc32c?: string; metadata?: Record<string, string> };
type Reply = { status: number; body?: unknown; headers?: Record<string, string | number> };

const CHUNK_BYTES = 256 * 1024;

/** The state of a double, and its door. */
export class GcsDouble {
  readonly buckets = new Map<string, Map<string, DoubleObject>>();
  readonly sessions = new Map<string, Session>();
  readonly requests: SeenRequest[] = [];
  /** Tokens that are accepted; undefined: no login is asked for. */
  tokens: Set<string> | undefined;
  /** Keys in one page of a listing. */
  pageSize = 1000;
  /** At most so much of a chunk is kept. */
  keptBytes = Number.POSITIVE_INFINITY;
  /** Damages what is stored from now on. */
  corrupts = false;
  interfere: Interference = () => false;
  #generation = 1_700_000_000_000_000;

  readonly listener: RequestListener = (request, response) => {
    const scheme = 'encrypted' in request.socket ? 'https' : 'http';
    const url = new URL(request.url ?? '/', `${scheme}://${request.headers.host}`);
    const seen = { method: request.method ?? '', url, headers: request.headers };
    this.requests.push(seen);
    if (this.interfere(seen, response)) {
      request.resume();
      return;
    }
    void buffer(request)
      .then((body) => this.#reply(seen, body))
      .then(({ status, body, headers }) => {
        const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body === undefined ? '' : JSON.stringify(body));
        response.writeHead(status, { 'content-length': bytes.length, ...headers }).end(bytes);
      })
      .catch(() => response.destroy());
  };

  object(bucket: string, key: string): DoubleObject | undefined {
    return this.buckets.get(bucket)?.get(key);
  }

  #reply(request: SeenRequest, body: Buffer): Reply {
    const { method, url, headers } = request;
    const upload = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(url.pathname);
    const id = url.searchParams.get('upload_id');
    if (upload !== null && id !== null) return this.#session(request, id, body);
    if (this.tokens !== undefined && !this.tokens.has((headers.authorization ?? '').replace(/^Bearer /, ''))) {
      return failure(401, 'authError', 'Invalid Credentials');
    }
    const [, bucket = '', key] = upload ?? /^\/storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    const objects = this.buckets.get(decodeURIComponent(bucket));
    if (objects === undefined) return failure(404, 'notFound', 'The specified bucket does not exist.');
    if (upload !== null && method === 'POST') return this.#insert(request, objects, bucket, body);
    if (key !== undefined) return this.#object(request, objects, decodeURIComponent(key));
    return method === 'GET' ? this.#list(url.searchParams, objects) : failure(405, 'methodNotAllowed', method);
  }

  #insert({ url, headers }: SeenRequest, objects: Map<string, DoubleObject>, bucket: string, body: Buffer): Reply {
    const query = url.searchParams;
    if (query.get('uploadType') === 'resumable') {
      const id = randomBytes(16).toString('hex');
      this.sessions.set(id, { bucket, query, resource: JSON.parse(body.toString()), bytes: Buffer.alloc(0) });
      const location = `${url.origin}${url.pathname}?uploadType=resumable&upload_id=${id}`;
      return { status: 200, headers: { location } };
    }
    const boundary = /^multipart\/related; boundary=(\S+)$/.exec(headers['content-type'] ?? '')?.[1];
    const parts = boundary === undefined ? undefined : partsOf(body, boundary);
    if (parts === undefined) return failure(400, 'badContent', 'Malformed multipart body.');
    return this.#store(objects, query, JSON.parse(parts[0].toString()), parts[1]).reply;
  }

  #store(objects: Map<string, DoubleObject>, query: URLSearchParams, resource: Resource, bytes: Buffer) {
    const key = query.get('name') ?? resource.name ?? '';
    const wanted = query.get('ifGenerationMatch');
    if (wanted !== null && wanted !== (objects.get(key)?.generation ?? '0')) {
      return {
        reply: failure(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.'),
      };
    }
    if (resource.crc32c !== undefined && resource.crc32c !== checksum(bytes)) {
      return { reply: failure(400, 'invalid', `Provided CRC32C "${resource.crc32c}" doesn't match.`) };
    }
    const kmsKeyName = query.get('kmsKeyName');
    const object = {
      bytes: this.corrupts ? Buffer.concat([Buffer.from('!'), bytes.subarray(1)]) : bytes,
      generation: String(this.#generation++),
      timeCreated: new Date().toISOString(),
      metadata: resource.metadata ?? {},
      ...(kmsKeyName === null ? {} : { kmsKeyName }),
    };
    objects.set(key, object);
    return { object, reply: { status: 200, body: described(key, object) } };
  }

  #session({ method, headers }: SeenRequest, id: string, body: Buffer): Reply {
    const session = this.sessions.get(id);
    if (session === undefined) return failure(404, 'notFound', 'No such upload.');
    const key = session.query.get('name') ?? '';
    if (method === 'DELETE') {
      this.sessions.delete(id);
      return { status: 499 };
    }
    if (session.done !== undefined) return { status: 200, body: described(key, session.done) };
    const [, range = '', total = ''] = /^bytes (\*|\d+-\d+)\/(\*|\d+)$/.exec(headers['content-range'] ?? '') ?? [];
    if (total === '') return failure(400, 'badRequest', 'Invalid Content-Range.');
    if (range !== '*') {
      const [first = 0, last = 0] = range.split('-').map(Number);
      const isLast = total !== '*' && last + 1 === Number(total);
      if (last - first + 1 !== body.length || first > session.bytes.length) return failure(400, 'badRequest', 'Gap.');
      if (!isLast && body.length % CHUNK_BYTES !== 0) return failure(400, 'badRequest', 'Not a multiple of 256 KiB.');
      const fresh = body.subarray(session.bytes.length - first).subarray(0, this.keptBytes);
      session.bytes = Buffer.concat([session.bytes, fresh]);
    }
    const held = session.bytes.length;
    if (total !== '*' && held === Number(total)) {
      const objects = this.buckets.get(session.bucket) ?? new Map();
      const stored = this.#store(objects, session.query, session.resource, session.bytes);
      if (stored.object !== undefined) session.done = stored.object;
      return stored.reply;
    }
    return { status: 308, headers: held === 0 ? {} : { range: `bytes=0-${held - 1}` } };
  }

  #object({ method, url, headers }: SeenRequest, objects: Map<string, DoubleObject>, key: string): Reply {
    const found = objects.get(key);
    const generation = url.searchParams.get('generation');
    const condition = url.searchParams.get('ifGenerationMatch');
    if (found === undefined || (generation !== null && generation !== found.generation)) {
      return failure(404, 'notFound', `No such object: ${key}`);
    }
    if (condition !== null && condition !== found.generation) return failure(412, 'conditionNotMet', 'Precondition');
    if (method === 'DELETE') {
      objects.delete(key);
      return { status: 204 };
    }
    if (url.searchParams.get('alt') !== 'media') return { status: 200, body: described(key, found) };
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
    if (range === null) return { status: 200, body: found.bytes };
    const first = Number(range[1]);
    const last = Math.min(found.bytes.length - 1, range[2] === '' ? Number.POSITIVE_INFINITY : Number(range[2]));
    if (first > last) return failure(416, 'requestedRangeNotSatisfiable', 'Range');
    const where = `bytes ${first}-${last}/${found.bytes.length}`;
    return { status: 206, body: found.bytes.subarray(first, last + 1), headers: { 'content-range': where } };
  }

  #list(query: URLSearchParams, objects: Map<string, DoubleObject>): Reply {
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter');
    const from = query.get('startOffset') ?? '';
    const after = Buffer.from(query.get('pageToken') ?? '', 'base64').toString();
    const names = new Map<string, DoubleObject | undefined>();
    for (const [key, object] of [...objects].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
      if (!key.startsWith(prefix) || Buffer.compare(Buffer.from(key), Buffer.from(from)) < 0) continue;
      const end = delimiter === null ? -1 : key.indexOf(delimiter, prefix.length);
      if (end < 0) names.set(key, object);
      else names.set(key.slice(0, end + 1), undefined);
    }
    const rest = [...names].filter(
      ([name]) => after === '' || Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0,
    );
    const size = Math.min(this.pageSize, Number(query.get('maxResults') ?? this.pageSize));
    const page = rest.slice(0, size);
    const items = page.flatMap(([key, object]) => (object === undefined ? [] : [described(key, object)]));
    const prefixes = page.flatMap(([name, object]) => (object === undefined ? [name] : []));
    const nextPageToken = rest.length > size ? Buffer.from(page.at(-1)?.[0] ?? '').toString('base64') : undefined;
    return { status: 200, body: { kind: 'storage#objects', nextPageToken, prefixes, items } };
  }
}

/** Serves a double on loopback. */
export async function startGcsDouble(): Promise<{ double: GcsDouble; endpoint: string; stop(): Promise<void> }> {
  const double = new GcsDouble();
  double.buckets.set('bucket', new Map());
  const server = createServer(double.listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return { double, endpoint: `http://127.0.0.1:${port}`, stop };
}

/** An error as Google writes it. */
export function failure(status: number, reason: string, message: string): Reply {
  return { status, body: { error: { code: status, message, errors: [{ domain: 'global', reason, message }] } } };
}

function described(name: string, { bytes, generation, timeCreated, metadata, kmsKeyName }: DoubleObject) {
  const size = String(bytes.length);
  return { kind: 'storage#object', name, size, generation, timeCreated, metadata, kmsKeyName, crc32c: checksum(bytes) };
}

function checksum(bytes: Buffer): string {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32c(bytes));
  return value.toString('base64');
}

/** Exactly two parts: a resource and the bytes. */
function partsOf(body: Buffer, boundary: string): [Buffer, Buffer] | undefined {
  const head = `--${boundary}\r\n`;
  const middle = body.indexOf(`\r\n${head}`);
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  if (!body.subarray(0, head.length).equals(Buffer.from(head)) || middle < 0) return undefined;
  if (!body.subarray(-tail.length).equals(tail)) return undefined;
  const first = body.subarray(head.length, middle);
  const second = body.subarray(middle + 2 + head.length, body.length - tail.length);
  return [first, second].map((part) => part.subarray(part.indexOf('\r\n\r\n') + 4)) as [Buffer, Buffer];
}
