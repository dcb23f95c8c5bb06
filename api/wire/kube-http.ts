// Requests to the API server with the service account of the Pod: node:https, nothing generated (facts.md has the
// memory that the generated client costs).
import { readFile, stat } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, PreconditionError } from '../errors.ts';

/** A request to the API server that failed: its own words, or what happened to the connection. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status; undefined when no answer came. */
  readonly status: number | undefined;
  /** What the API server said, without method and path. */
  readonly reason: string;

  constructor(facts: { method: string; path: string; status?: number; reason: string }, options?: { cause?: unknown }) {
    const status = facts.status === undefined ? '' : ` (HTTP ${facts.status})`;
    super(`Kubernetes API: ${facts.method} ${facts.path}: ${facts.reason}${status}`, options);
    this.status = facts.status;
    this.reason = facts.reason;
  }

  /** Whether the same request may succeed a moment later. */
  get retriable(): boolean {
    return this.status === undefined || this.status === 429 || this.status >= 500;
  }
}

export type KubeHttpOptions = {
  host: string;
  port: number;
  /** Holds `ca.crt` and `token`; both are read again when they change. */
  serviceAccountFolder: string;
  /** Limit of one attempt from start to end, milliseconds; default 10 s. */
  timeoutMs?: number;
  /** Waits before the further attempts of a GET, milliseconds; each is shortened by up to half, at random. */
  retryDelaysMs?: readonly number[];
  /** Clock of everything that is kept for a while, milliseconds; for tests. */
  now?: () => number;
};

export type KubeRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  body?: unknown;
  /** Default `application/json`. */
  contentType?: string;
  signal?: AbortSignal;
};

export type KubeHttp = {
  /** Sends a request and reads the JSON that comes back. Throws KubeError; PreconditionError without credentials. */
  request(request: KubeRequest): Promise<unknown>;
  /** Releases idle connections. */
  close(): void;
};

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_RETRY_DELAYS_MS: readonly number[] = [200, 800];

/** Makes the client; nothing is read or opened before the first request. */
export function createKubeHttp(options: KubeHttpOptions): KubeHttp {
  const agent = new Agent({ keepAlive: true, maxSockets: 8, maxFreeSockets: 2 });
  const now = options.now ?? monotonicMs;
  const readCa = rotatingFile(join(options.serviceAccountFolder, 'ca.crt'), now);
  const readToken = rotatingFile(join(options.serviceAccountFolder, 'token'), now);
  const retryDelaysMs = options.retryDelaysMs ?? DEFAULT_RETRY_DELAYS_MS;

  return {
    async request(request) {
      // Only reads are repeated: after a lost connection nobody knows whether a write has happened.
      const delaysMs = request.method === 'GET' ? retryDelaysMs : [];
      for (const waitMs of delaysMs) {
        try {
          return await attempt(request);
        } catch (error) {
          if (!(error instanceof KubeError && error.retriable) || request.signal?.aborted) throw error;
        }
        await delay(waitMs * (0.5 + Math.random() / 2), undefined, { signal: request.signal }).catch(() =>
          request.signal?.throwIfAborted(),
        );
      }
      return attempt(request);
    },
    close: () => agent.destroy(),
  };

  async function attempt(request: KubeRequest): Promise<unknown> {
    const [ca, token] = await Promise.all([readCa(), readToken()]);
    let answer = await send(request, ca, token.trim());
    if (answer.status === 401) {
      // The token may have been replaced and withdrawn since the file was looked at. What is refused has done nothing.
      const fresh = await readToken({ now: true });
      if (fresh !== token) answer = await send(request, ca, fresh.trim());
    }
    if (answer.status >= 200 && answer.status < 300) return parseJson(request, answer);
    throw new KubeError({ ...request, status: answer.status, reason: reasonOf(answer) });
  }

  function send(request: KubeRequest, ca: string, token: string): Promise<Answer> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const limit = AbortSignal.timeout(timeoutMs);
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        const reason = limit.aborted ? `no answer within ${timeoutMs} ms` : messageOfConnection(error);
        const failure = new KubeError({ ...request, reason }, { cause: error });
        reject(request.signal?.aborted ? request.signal.reason : failure);
      };
      const sent = httpsRequest({
        agent,
        host: options.host,
        port: options.port,
        method: request.method,
        path: request.path,
        ca,
        signal: request.signal === undefined ? limit : AbortSignal.any([request.signal, limit]),
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${token}`,
          'user-agent': 'cellar',
          ...(body === undefined
            ? {}
            : {
                'content-type': request.contentType ?? 'application/json',
                'content-length': Buffer.byteLength(body),
              }),
        },
      });
      sent.on('error', fail);
      sent.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', fail);
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') });
        });
      });
      sent.end(body);
    });
  }
}

/** A clock that no change of the time of day disturbs. */
export function monotonicMs(): number {
  return performance.now();
}

type Answer = { status: number; text: string };

function parseJson(request: KubeRequest, answer: Answer): unknown {
  try {
    return JSON.parse(answer.text);
  } catch (error) {
    throw new KubeError({ ...request, status: answer.status, reason: 'the answer is not JSON' }, { cause: error });
  }
}

/** The message of a Status object; proxies in between answer with pages of their own, of which a piece is shown. */
function reasonOf(answer: Answer): string {
  try {
    const status: { message?: unknown } | null = JSON.parse(answer.text);
    if (typeof status?.message === 'string' && status.message !== '') return status.message;
  } catch {
    // Not JSON, so not from the API server.
  }
  return answer.text.slice(0, 200).replaceAll(/\s+/g, ' ').trim() || 'no reason given';
}

/** A host with several addresses fails with an AggregateError, whose own message is empty. */
function messageOfConnection(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ');
  return messageOf(error);
}

/** How often a file is looked at, at most, milliseconds. */
const LOOK_AGAIN_MS = 1_000;

/**
 * Reads a file that the kubelet replaces from time to time (it swaps a symbolic link, so inode and time change). A file
 * that was read before and is away for a moment is not an error.
 */
function rotatingFile(path: string, now: () => number): (options?: { now: boolean }) => Promise<string> {
  let known: { text: string; version: string; lookedAt: number } | undefined;
  return async (options) => {
    if (known !== undefined && !options?.now && now() - known.lookedAt < LOOK_AGAIN_MS) return known.text;
    try {
      const { mtimeMs, ino, size } = await stat(path);
      const version = `${mtimeMs} ${ino} ${size}`;
      const text = known?.version === version ? known.text : await readFile(path, 'utf8');
      known = { text, version, lookedAt: now() };
      return text;
    } catch (error) {
      if (known !== undefined) return known.text;
      const hint = 'the container needs the mount of the service account token (volume kube-api-access)';
      throw new PreconditionError(`no access to the Kubernetes API: ${messageOf(error)}`, { cause: error, hint });
    }
  };
}
