// Tokens of the identity that a machine or a Pod has at Google (workload identity): the metadata server gives them.
import { text } from 'node:stream/consumers';
import { StoreError } from '../../api/errors.ts';
import { factsOfThrown, gcsError, redacted } from './gcs-errors.ts';
import type { GcsSettings } from './gcs-settings.ts';
import { StoreHttp } from './http.ts';

const PATH = '/computeMetadata/v1/instance/service-accounts/default/token';
const FLAVOUR = 'metadata-flavor';
/** The server gives a new token from five minutes before the end of the old one. */
const RENEW_BEFORE_END_MS = 4 * 60_000;
const SCOPES = 'https://www.googleapis.com/auth/devstorage.read_write';

type Token = { value: string; endsAt: number };

/**
 * Asks the metadata server, over no proxy. Google's library asks first whether there is one and remembers a no for the
 * life of the process; on GKE it comes up seconds after the Pod.
 */
export class MetadataServer {
  readonly #origin: string;
  readonly #http: StoreHttp;
  readonly #now: () => number;
  #token: Token | undefined;
  #asking: Promise<Token> | undefined;

  constructor(settings: GcsSettings, origin: string, now: () => number = Date.now) {
    this.#origin = origin;
    this.#http = new StoreHttp({ ...settings, proxies: {} });
    this.#now = now;
  }

  /** A token that is good for some minutes. An old one serves as long as it lasts. Throws StoreError. */
  async token(): Promise<string> {
    const token = this.#token;
    if (token !== undefined && this.#now() < token.endsAt - RENEW_BEFORE_END_MS) return token.value;
    try {
      this.#asking ??= this.#ask();
      this.#token = await this.#asking;
      return this.#token.value;
    } catch (error) {
      if (token !== undefined && this.#now() < token.endsAt) return token.value;
      throw error;
    } finally {
      this.#asking = undefined;
    }
  }

  forget(): void {
    this.#token = undefined;
  }

  close(): void {
    this.#http.close();
  }

  async #ask(): Promise<Token> {
    const url = new URL(PATH, this.#origin);
    url.searchParams.set('scopes', SCOPES);
    const where = { operation: 'login', key: url.host };
    try {
      const answer = await this.#http.request({ method: 'GET', url, headers: { [FLAVOUR]: 'Google' } });
      const body = await text(answer);
      if (answer.statusCode !== 200) throw refusal(answer.statusCode ?? 0, body, where);
      if (answer.headers[FLAVOUR] !== 'Google')
        throw new Error('what answers there is not the metadata server of Google');
      return this.#tokenIn(body);
    } catch (error) {
      throw error instanceof StoreError ? error : gcsError(factsOfThrown(error), where);
    }
  }

  #tokenIn(body: string): Token {
    const { access_token: value, expires_in: seconds } = JSON.parse(body);
    if (typeof value !== 'string' || typeof seconds !== 'number') throw new Error('the answer holds no access token');
    return { value, endsAt: this.#now() + seconds * 1000 };
  }
}

function refusal(status: number, body: string, where: { operation: string; key: string }): StoreError {
  const said = redacted(
    body
      .replaceAll(/<[^>]*>|\s+/g, ' ')
      .trim()
      .slice(0, 300),
  );
  const failure = status === 429 ? 'throttled' : status >= 500 ? 'broken' : 'refused';
  const hint = 'check the binding of the Kubernetes service account to one of Google (docs/stores/gcs.md)';
  const reason = said === '' ? 'the metadata server gives no token' : `the metadata server gives no token: ${said}`;
  return new StoreError({ failure, provider: 'gcs', ...where, status, reason, hint });
}
