// From whatever the S3 client throws to a StoreError: what failed, by what the caller should do, and the likely cause.
// Pure. What is thrown by the SDK is not kept as cause: stores echo signed headers (session token) in their answers and
// the SDK hangs them on its errors.
import { StoreError } from '../../api/errors.ts';
import { broken, misconfigured, refused, textOf, type Verdict } from './verdict.ts';

export type S3ErrorContext = {
  operation: string;
  /** `bucket/key`. */
  key: string;
  /** Texts that must never appear. */
  secrets: readonly string[];
};

/** The facts of an SDK or socket error that decide; everything optional because stores differ. */
export type S3ErrorFacts = {
  code: string;
  message: string;
  status: number | undefined;
  requestId: string | undefined;
  bucketRegion: string | undefined;
};

/** A StoreError that remembers the code that the store gave. */
export class S3Error extends StoreError {
  readonly code: string;

  constructor(code: string, facts: ConstructorParameters<typeof StoreError>[0], options?: { cause?: unknown }) {
    super(facts, options);
    this.code = code;
  }
}

/** The StoreError for something thrown; a StoreError stays as it is. */
export function toStoreError(thrown: unknown, context: S3ErrorContext): StoreError {
  if (thrown instanceof StoreError) return thrown;
  const facts = factsOf(thrown);
  const { failure, hint } = judge(facts, context.operation);
  const reason = redact(reasonOf(facts), context.secrets);
  return new S3Error(
    facts.code,
    {
      failure,
      provider: 's3',
      operation: context.operation,
      key: context.key,
      status: facts.status,
      requestId: facts.requestId,
      reason,
      hint,
    },
    { cause: new Error(reason) },
  );
}

/** What an SDK or socket error says about itself. */
export function factsOf(thrown: unknown): S3ErrorFacts {
  const error = fields(thrown);
  const metadata = fields(error.$metadata);
  const headers = fields(fields(error.$response).headers);
  const inner = fields(error.cause);
  return {
    code:
      [error.code, error.Code, error.name].map(textOf).find((code) => code && code !== 'Error') ??
      textOf(inner.code) ??
      '',
    message: textOf(error.message) ?? '',
    status: typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined,
    requestId: textOf(metadata.requestId) ?? textOf(metadata.extendedRequestId),
    bucketRegion: textOf(headers['x-amz-bucket-region']),
  };
}

/** Codes whatever the status, most telling first. */
const BY_CODE: [codes: RegExp, verdict: Verdict][] = [
  [/^(NoSuchKey|NoSuchUpload)$/, { failure: 'absent' }],
  [/^NoSuchBucket$/, misconfigured('the bucket does not exist: check destinationPath, or create the bucket')],
  [/^(PreconditionFailed|ConditionalRequestConflict)$/, { failure: 'conflict' }],
  [
    // VersityGW answers the last one, with a 404.
    /^(InvalidAccessKeyId|InvalidClientTokenId|XAdminUserNotFound)$/,
    refused('the store does not know the access key id: check the Secret'),
  ],
  [/^SignatureDoesNotMatch$/, refused('the secret access key is wrong, or a proxy changes requests: check the Secret')],
  [
    /^RequestTimeTooSkewed$/,
    misconfigured('the clocks of this node and of the store differ: check time synchronisation'),
  ],
  [/^(ExpiredToken|ExpiredTokenException|TokenRefreshRequired)$/, refused('the session token has expired: renew it')],
  [/^InvalidToken$/, refused('the session token is not valid: check the Secret')],
  [
    /^(AuthorizationHeaderMalformed|PermanentRedirect|TemporaryRedirect|IllegalLocationConstraintException|InvalidRegion)$/,
    misconfigured('wrong region or endpoint for this bucket: check the region of the credentials and endpointURL'),
  ],
  [/^(SlowDown|Throttling|ThrottlingException|TooManyRequests|RequestLimitExceeded|Busy)/, { failure: 'throttled' }],
  [/^(BadDigest|RequestTimeout|IncompleteBody|InternalError|OperationAborted)$/, { failure: 'broken' }],
  [/^(XMinioStorageFull|QuotaExceeded|InsufficientStorage)/i, refused('the store is full or its quota is used up')],
  [/^InvalidObjectState$/, refused('the object is in an archive tier: restore it in the store first')],
  [
    /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|ERR_TLS_CERT)/,
    misconfigured(
      "the store's certificate is not trusted: set endpointCA to its CA, or check the host name in endpointURL",
    ),
  ],
  [
    /^(EPROTO|ERR_SSL|HPE_)/,
    misconfigured('not the protocol expected: check http or https and the port in endpointURL'),
  ],
  [
    /^(CredentialsProviderError|ProviderError)$/,
    misconfigured(
      'no AWS credentials were found: check the role, the profile (--aws-profile, AWS_PROFILE) or the Secret',
    ),
  ],
  [/^(ENOTFOUND|EAI_AGAIN)$/, broken('the host name of the endpoint did not resolve: check endpointURL and DNS')],
  [
    /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|TimeoutError)$/,
    broken('the endpoint did not answer: check endpointURL, the store, and network policies'),
  ],
];

const BY_STATUS: [status: (status: number) => boolean, verdict: Verdict][] = [
  [(status) => status === 412, { failure: 'conflict' }],
  [(status) => status === 429 || status === 503, { failure: 'throttled' }],
  [(status) => status === 501, refused('the store does not support this request')],
  [(status) => status === 507, refused('the store is full or its quota is used up')],
  [(status) => status >= 500, { failure: 'broken' }],
  [(status) => status === 401, refused('the store did not accept the credentials: check the Secret')],
  [(status) => status >= 300 && status < 400, misconfigured('wrong region or endpoint for this bucket: check both')],
  [
    (status) => status === 404,
    misconfigured('nothing is known there: check endpointURL and the bucket in destinationPath'),
  ],
  [(status) => status === 405, misconfigured('this does not look like an S3 endpoint: check endpointURL')],
  [(status) => status >= 400, { failure: 'refused' }],
];

function judge(facts: S3ErrorFacts, operation: string): Verdict {
  const { code, status, bucketRegion } = facts;
  const byCode = BY_CODE.find(([codes]) => codes.test(code))?.[1];
  if (byCode?.failure === 'misconfigured' && bucketRegion !== undefined) {
    return misconfigured(`the bucket is in region ${bucketRegion}: set that region in the credentials`);
  }
  if (byCode !== undefined) return byCode;
  if (status === 403) {
    return refused(
      `the credentials may not do this: grant the permission that ${operation} needs, or check the Secret`,
    );
  }
  if (status === undefined || status < 300) return { failure: 'broken' };
  return BY_STATUS.find(([fits]) => fits(status))?.[1] ?? { failure: 'broken' };
}

function reasonOf({ code, message, status }: S3ErrorFacts): string {
  const said = message === '' || /^(UnknownError|Unknown)$/.test(message) ? undefined : message;
  const coded = /^(Unknown|UnknownError|)$/.test(code) ? undefined : code;
  if (said === undefined)
    return coded ?? (status === undefined ? 'failed without a reason' : 'answered without a reason');
  return coded === undefined || said.includes(coded) ? said : `${coded}: ${said}`;
}

function redact(message: string, secrets: readonly string[]): string {
  return secrets.filter((secret) => secret !== '').reduce((rest, secret) => rest.replaceAll(secret, '***'), message);
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...prototypeless(value) } : {};
}

/** `name` and `message` of errors are not own enumerable properties. */
function prototypeless(value: object): Record<string, unknown> {
  const named = value instanceof Error ? { name: value.name, message: value.message, cause: value.cause } : {};
  const response = '$response' in value ? { $response: value.$response } : {};
  return { ...named, ...response, ...value };
}
