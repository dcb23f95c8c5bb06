// Requests over HTTP or HTTPS with kept connections, the CAs and proxies of the store, and limits for silence; for the
// vendor's client too, whose own has neither such limits nor CAs.
import http, { type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import { pipeline, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { HttpOperationResponse, IHttpClient, WebResource } from '@azure/storage-blob';
import type { AzureSettings } from './azure-settings.ts';

export type AzureRequest = {
  method: string;
  url: URL;
  headers: OutgoingHttpHeaders;
  body?: string | Uint8Array | Readable;
  signal?: AbortSignal;
};
export type AzureResponse = IncomingMessage;

/** What connections are made with. */
export type AzureConnections = Pick<
  AzureSettings,
  'connectTimeoutMs' | 'silenceTimeoutMs' | 'maxSockets' | 'proxies' | 'trustedCertificates'
>;

/** Connections to one store. */
export class AzureHttp implements IHttpClient {
  readonly #settings: AzureConnections;
  readonly #plain: http.Agent;
  readonly #secure: https.Agent;

  constructor(settings: AzureConnections) {
    const { maxSockets, proxies, trustedCertificates } = settings;
    const shared = { keepAlive: true, maxSockets, proxyEnv: proxies };
    const authorities = trustedCertificates === undefined ? {} : { ca: [...trustedCertificates] };
    this.#settings = settings;
    this.#plain = new http.Agent(shared);
    this.#secure = new https.Agent({ ...shared, ...authorities });
  }

  /** The answer, its body unread. Rejects with the error of the socket or of the body, or with the signal's reason. */
  async request({ method, url, headers, body, signal }: AzureRequest): Promise<AzureResponse> {
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
    } else request.end(body);
    return promise;
  }

  /** The same for the vendor's client. */
  async sendRequest(request: WebResource): Promise<HttpOperationResponse> {
    const body = bodyOf(request);
    const answer = await this.request({
      method: request.method,
      url: new URL(request.url),
      headers: request.headers.toJson({ preserveCase: true }),
      ...(body === undefined ? {} : { body }),
      ...(request.abortSignal instanceof AbortSignal ? { signal: request.abortSignal } : {}),
    });
    const status = answer.statusCode ?? 0;
    const response = { request, status, headers: headersLike(request.headers, answer.headers) };
    const streams = request.streamResponseStatusCodes;
    if (streams?.has(status) || streams?.has(Number.POSITIVE_INFINITY))
      return { ...response, readableStreamBody: answer };
    return { ...response, bodyAsText: await text(answer) };
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

/** The body of an answer. */
export function textOf(answer: AzureResponse): Promise<string> {
  return text(answer);
}

function bodyOf({ body: given }: WebResource): AzureRequest['body'] {
  const body: unknown = typeof given === 'function' ? given() : given;
  if (body === undefined || body === null) return undefined;
  if (typeof body === 'string' || body instanceof Uint8Array || body instanceof Readable) return body;
  throw new TypeError('a body of this kind is never sent here');
}

/** The vendor's class of headers is not exported: a copy of the request's is emptied and filled. */
function headersLike(model: WebResource['headers'], answered: IncomingHttpHeaders): WebResource['headers'] {
  const headers = model.clone();
  for (const name of headers.headerNames()) headers.remove(name);
  for (const [name, value] of Object.entries(answered)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  return headers;
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
