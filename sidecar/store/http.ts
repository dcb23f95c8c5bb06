// One request over HTTP or HTTPS, with kept connections, the CAs and proxies of the store, and limits for silence.
import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import { pipeline, Readable } from 'node:stream';
import type { HttpConnections } from './connections.ts';

/** What a request sends: memory in pieces or whole, or a stream; `content-length` is the caller's. */
export type HttpBody = readonly Uint8Array[] | Uint8Array | string | Readable;

export type HttpRequest = {
  method: string;
  url: URL;
  headers: OutgoingHttpHeaders;
  body?: HttpBody | undefined;
  signal?: AbortSignal | undefined;
};

/**
 * Connections to one store. fetch would unpack what is stored packed and takes neither CAs nor proxies of ours; Node's
 * agents do.
 */
export class StoreHttp {
  readonly #settings: HttpConnections;
  readonly #plain: http.Agent;
  readonly #secure: https.Agent;

  constructor(settings: HttpConnections) {
    const { maxSockets, proxies, trustedCertificates } = settings;
    const shared = { keepAlive: true, maxSockets, proxyEnv: proxies };
    const authorities = trustedCertificates === undefined ? {} : { ca: [...trustedCertificates] };
    this.#settings = settings;
    this.#plain = new http.Agent(shared);
    this.#secure = new https.Agent({ ...shared, ...authorities });
  }

  /** The answer, its body unread. Rejects with the error of the socket or of the body, or with the signal's reason. */
  async request({ method, url, headers, body, signal }: HttpRequest): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    signal?.throwIfAborted();
    const options = { method, headers, ...(signal === undefined ? {} : { signal }) };
    const request =
      url.protocol === 'http:'
        ? http.request(url, { ...options, agent: this.#plain })
        : https.request(url, { ...options, agent: this.#secure });
    request.once('response', resolve);
    request.on('error', reject);
    this.#limit(request);
    if (body instanceof Readable) {
      pipeline(body, request, (error) => {
        if (error) reject(error);
      });
    } else {
      for (const piece of piecesOf(body)) request.write(piece);
      request.end();
    }
    return promise;
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }

  #limit(request: http.ClientRequest): void {
    const { connectTimeoutMs, silenceTimeoutMs } = this.#settings;
    request.setTimeout(silenceTimeoutMs, () => {
      request.destroy(coded('ETIMEDOUT', `nothing moved on the connection for ${silenceTimeoutMs} ms`));
    });
    request.once('socket', (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => {
        request.destroy(coded('ETIMEDOUT', `no connection within ${connectTimeoutMs} ms`));
      }, connectTimeoutMs);
      socket.once('connect', () => clearTimeout(timer));
      request.once('close', () => clearTimeout(timer));
    });
  }
}

function piecesOf(body: Exclude<HttpBody, Readable> | undefined): readonly (Uint8Array | string)[] {
  if (body === undefined) return [];
  return typeof body === 'string' || body instanceof Uint8Array ? [body] : body;
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
