// Our connections under the vendor's client, whose own has neither limits for silence nor our CAs.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { HttpOperationResponse, IHttpClient, WebResource } from '@azure/storage-blob';
import { type HttpRequest, StoreHttp } from './http.ts';

/** Connections to one store. */
export class AzureHttp extends StoreHttp implements IHttpClient {
  /** A request of the vendor's client. */
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
}

/** The body of an answer. */
export function textOf(answer: IncomingMessage): Promise<string> {
  return text(answer);
}

function bodyOf({ body: given }: WebResource): HttpRequest['body'] {
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
