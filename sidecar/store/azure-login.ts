// Access tokens of Microsoft Entra. The two logins that a Pod has are one request each; Microsoft's library, which takes
// tens of MiB, is loaded only for the others.

import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { messageOf, StoreError } from '../../api/errors.ts';
import { textOf } from './azure-http.ts';
import type { AzureIdentity } from './azure-identity.ts';
import type { StoreHttp } from './http.ts';

/** A token and its end, milliseconds since the epoch, as the vendor's clients want it. */
export type AzureToken = { token: string; expiresOnTimestamp: number };

type Abort = { abortSignal?: AbortSignal };

const RESOURCE = 'https://storage.azure.com/';
/** An issuer that does not answer must not hold up archiving. */
const LIMIT_MS = 30_000;
const ADVICE = 'check the identity and its federated credential (docs/stores/azure.md)';

/** Gives tokens; the vendor's pipeline keeps one, and looks for the next from two minutes before its end. */
export class AzureLogin {
  readonly #identity: AzureIdentity;
  readonly #http: StoreHttp;
  #library: Promise<{ getToken(scope: string): Promise<{ token: string; expiresOnTimestamp: number }> }> | undefined;

  /** `http` goes over no proxy for a metadata server. */
  constructor(identity: AzureIdentity, http: StoreHttp) {
    this.#identity = identity;
    this.#http = http;
  }

  /** A new token. Throws StoreError: `refused` when the issuer says no, `throttled`, else `broken`. */
  async getToken(_scopes: string | string[], options: Abort = {}): Promise<AzureToken> {
    const limit = AbortSignal.timeout(LIMIT_MS);
    const signal = options.abortSignal === undefined ? limit : AbortSignal.any([options.abortSignal, limit]);
    try {
      if (this.#identity.kind === 'workload') return await this.#exchange(this.#identity, signal);
      if (this.#identity.kind === 'machine') return await this.#askMachine(this.#identity, signal);
      return await this.#askLibrary();
    } catch (error) {
      options.abortSignal?.throwIfAborted();
      if (error instanceof StoreError) throw error;
      throw loginError('broken', messageOf(error), this.#identity);
    }
  }

  /** The token file is read each time: the kubelet renews it. */
  async #exchange(identity: Extract<AzureIdentity, { kind: 'workload' }>, signal: AbortSignal): Promise<AzureToken> {
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: identity.clientId,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: (await readFile(identity.tokenFile, 'utf8')).trim(),
      scope: `${RESOURCE}.default`,
    });
    const url = new URL(`${identity.authority}/${encodeURIComponent(identity.tenantId)}/oauth2/v2.0/token`);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return this.#tokenOf(await this.#http.request({ method: 'POST', url, headers, body: body.toString(), signal }));
  }

  async #askMachine(identity: Extract<AzureIdentity, { kind: 'machine' }>, signal: AbortSignal): Promise<AzureToken> {
    const url = new URL('/metadata/identity/oauth2/token', identity.endpoint);
    url.searchParams.set('api-version', '2018-02-01');
    url.searchParams.set('resource', RESOURCE);
    if (identity.clientId !== undefined) url.searchParams.set('client_id', identity.clientId);
    return this.#tokenOf(await this.#http.request({ method: 'GET', url, headers: { metadata: 'true' }, signal }));
  }

  async #askLibrary(): Promise<AzureToken> {
    this.#library ??= import('@azure/identity').then(({ DefaultAzureCredential }) => new DefaultAzureCredential());
    const { token, expiresOnTimestamp } = await (await this.#library).getToken(`${RESOURCE}.default`);
    return { token, expiresOnTimestamp };
  }

  async #tokenOf(response: IncomingMessage): Promise<AzureToken> {
    const body = await textOf(response);
    if (response.statusCode !== 200) throw refusal(response.statusCode ?? 0, body, this.#identity);
    const { access_token: token, expires_in: seconds } = JSON.parse(body);
    const lifetimeMs = Number(seconds) * 1000;
    if (typeof token !== 'string' || token === '' || !(lifetimeMs > 0)) {
      throw new Error('the answer holds no access token');
    }
    return { token, expiresOnTimestamp: Date.now() + lifetimeMs };
  }
}

function refusal(status: number, body: string, identity: AzureIdentity): StoreError {
  const failure = status === 429 ? 'throttled' : status >= 500 || status === 410 ? 'broken' : 'refused';
  return loginError(failure, `no token is given: ${saidIn(body)}`, identity, status);
}

/** `error_description` of OAuth, which names tenant and application; else the beginning of what was said. */
function saidIn(body: string): string {
  try {
    const { error, error_description: description } = JSON.parse(body);
    if (typeof error === 'string') return [error, description].filter((part) => typeof part === 'string').join(': ');
  } catch {
    // Not JSON: told as it is.
  }
  return body
    .replaceAll(/<[^>]*>|\s+/g, ' ')
    .trim()
    .slice(0, 300);
}

function loginError(
  failure: 'refused' | 'throttled' | 'broken',
  reason: string,
  identity: AzureIdentity,
  status?: number,
): StoreError {
  const key = { workload: 'workload identity', machine: 'managed identity', library: 'default credential' }[
    identity.kind
  ];
  const who = identity.kind !== 'library' && identity.clientId !== undefined ? ` ${identity.clientId}` : '';
  const hint = failure === 'throttled' ? undefined : ADVICE;
  return new StoreError({ failure, provider: 'azure', operation: 'login', key: `${key}${who}`, status, reason, hint });
}
