// Access tokens: Google's own library finds and renews them; the requests that it makes go over our connections.
import { text } from 'node:stream/consumers';
import type { AuthClient } from 'google-auth-library';
import { messageOf, StoreError } from '../../api/errors.ts';
import { redacted } from './gcs-errors.ts';
import { MetadataServer } from './gcs-metadata-server.ts';
import type { GcsSettings } from './gcs-settings.ts';
import type { StoreHttp } from './http.ts';

const SCOPE = 'https://www.googleapis.com/auth/devstorage.read_write';
/** A metadata server that is not there, or an issuer that does not answer, must not hold up archiving. */
const LIMIT_MS = 30_000;

/** The identity that a store is used with. */
export class GcsLogin {
  readonly #settings: GcsSettings;
  readonly #http: StoreHttp;
  readonly #metadata: MetadataServer | undefined;
  #client: Promise<AuthClient> | undefined;

  constructor(settings: GcsSettings, http: StoreHttp) {
    const { credentials } = settings;
    this.#settings = settings;
    this.#http = http;
    if (typeof credentials === 'object' && 'metadataServer' in credentials) {
      this.#metadata = new MetadataServer(settings, credentials.metadataServer);
    }
  }

  /**
   * The header of a request; none for an emulator. The library keeps a token until five minutes before its end. Throws
   * StoreError: `refused` when the issuer says no, `misconfigured` when there are no credentials, else `broken`.
   */
  async headers(signal: AbortSignal | undefined): Promise<{ authorization?: string }> {
    if (this.#settings.credentials === 'none') return {};
    const stop = AbortSignal.any([AbortSignal.timeout(LIMIT_MS), ...(signal === undefined ? [] : [signal])]);
    try {
      return { authorization: `Bearer ${await unless(stop, this.#metadata?.token() ?? this.#token())}` };
    } catch (error) {
      signal?.throwIfAborted();
      throw loginError(error);
    }
  }

  /** The store did not accept the token: the next one is a new one. */
  renew(): void {
    this.#client = undefined;
    this.#metadata?.forget();
  }

  close(): void {
    this.#metadata?.close();
  }

  async #token(): Promise<string> {
    this.#client ??= this.#createClient();
    const client = this.#client;
    try {
      const { token } = await (await client).getAccessToken();
      if (!token) throw new Error('the answer holds no access token');
      return token;
    } catch (error) {
      // Whatever was found out may be different the next time: a file that comes late, a server that is up again.
      if (this.#client === client) this.#client = undefined;
      throw error;
    }
  }

  /** The library is loaded only here: workload identity does without. */
  async #createClient(): Promise<AuthClient> {
    const { GoogleAuth } = await import('google-auth-library');
    const { credentials } = this.#settings;
    // Who asks repeats.
    const retryConfig = { retry: 0, noResponseRetries: 0 };
    const clientOptions = { transporterOptions: { fetchImplementation: this.#fetch, retryConfig } };
    // A project is of no use here, and the library would go to some lengths to find one.
    const options = { scopes: SCOPE, projectId: 'unused', clientOptions };
    if (credentials === 'none' || 'metadataServer' in credentials) return new GoogleAuth(options).getClient();
    const given = 'json' in credentials ? { credentials: credentials.json } : { keyFilename: credentials.file };
    const client = await new GoogleAuth({ ...options, ...given }).getClient();
    shareTransporter(client);
    return client;
  }

  /** As much of fetch as the library asks for. */
  readonly #fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    const body = init.body === undefined || init.body === null ? undefined : Buffer.from(String(init.body));
    const answer = await this.#http.request({
      method: init.method ?? 'GET',
      url,
      headers: {
        ...Object.fromEntries(new Headers(init.headers)),
        ...(body === undefined ? {} : { 'content-length': body.length }),
      },
      ...(body === undefined ? {} : { body: [body] }),
      ...(init.signal ? { signal: init.signal } : {}),
    });
    const headers = Object.entries(answer.headers).map(([name, value]): [string, string] => [name, String(value)]);
    return new Response(await text(answer), { status: answer.statusCode ?? 500, headers });
  };
}

/** The exchange of foreign tokens has connections of its own in 10.9: without our CAs and proxies, unless it is given ours. */
function shareTransporter(client: AuthClient): void {
  const exchange = 'stsCredential' in client ? client.stsCredential : undefined;
  if (typeof exchange === 'object' && exchange !== null) Reflect.set(exchange, 'transporter', client.transporter);
}

function loginError(thrown: unknown): StoreError {
  if (thrown instanceof StoreError) return thrown;
  const message = redacted(messageOf(thrown));
  const { status, said } = answerOf(thrown);
  const reason = [said, message].find((part) => part !== undefined && part !== '') ?? 'failed without a reason';
  const facts = { provider: 'gcs', operation: 'login', key: '', status, reason };
  if (/invalid_grant|invalid_client|unauthorized_client|access_denied/.test(reason)) {
    const hint =
      'the issuer does not accept this credential: it was revoked, its file is another one, or clocks differ';
    return new StoreError({ failure: 'refused', ...facts, hint });
  }
  if (status !== undefined && status < 500 && status !== 429 && status !== 408) {
    const hint = 'check the service account, its key, or the binding of the Kubernetes service account to it';
    return new StoreError({ failure: 'refused', ...facts, hint });
  }
  if (
    /Could not load the default credentials|ENOENT|not a valid|does not exist|Unexpected token|PEM|DECODER/i.test(
      reason,
    )
  ) {
    const hint = 'set googleCredentials.applicationCredentials, or check workload identity (docs/stores/gcs.md)';
    return new StoreError({ failure: 'misconfigured', ...facts, hint });
  }
  const hint = 'the issuer of tokens or the metadata server did not answer as it should';
  return new StoreError({ failure: status === 429 ? 'throttled' : 'broken', ...facts, hint });
}

/** What the issuer answered: `error` and `error_description` of OAuth. */
function answerOf(thrown: unknown): { status?: number; said?: string } {
  const response = fieldsOf(fieldsOf(thrown).response);
  const data = fieldsOf(response.data);
  const said = [data.error, data.error_description].filter((part) => typeof part === 'string').join(': ');
  return {
    ...(typeof response.status === 'number' ? { status: response.status } : {}),
    ...(said === '' ? {} : { said: redacted(said) }),
  };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return {};
  return { ...('response' in value ? { response: value.response } : {}), ...readable(value) };
}

/** The status of a Response is no property of its own. */
function readable(value: object): Record<string, unknown> {
  const status = 'status' in value ? { status: value.status } : {};
  const data = 'data' in value ? { data: value.data } : {};
  return { ...value, ...status, ...data };
}

/** The result of work, unless a signal comes first; the work itself cannot be stopped. */
async function unless<T>(stop: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const halt = () => reject(stop.reason);
  if (stop.aborted) halt();
  stop.addEventListener('abort', halt, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    stop.removeEventListener('abort', halt);
  }
}
