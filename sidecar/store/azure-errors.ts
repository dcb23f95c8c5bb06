// From whatever the client of Azure throws to a StoreError: what failed, by what the caller should do, and the likely
// cause. Pure. What is thrown is not kept as cause: it holds the request with its signature. Codes: Microsoft's pages on
// the error codes of Blob Storage and on common REST API error codes.
import { StoreError } from '../../api/errors.ts';
import { broken, fieldsOf, misconfigured, refused, textOf, type Verdict } from './verdict.ts';

export type AzureErrorContext = {
  operation: string;
  /** `container/key`. */
  key: string;
  /** Texts that must never appear. */
  secrets: readonly string[];
};

/** A StoreError that remembers the code that the store gave, and how long it asked to wait. */
export class AzureError extends StoreError {
  readonly code: string;
  readonly waitMs: number;

  constructor(
    { code, waitMs }: { code: string; waitMs: number },
    facts: ConstructorParameters<typeof StoreError>[0],
    options?: { cause?: unknown },
  ) {
    super(facts, options);
    this.code = code;
    this.waitMs = waitMs;
  }
}

/** The StoreError for something thrown; a StoreError stays as it is. */
export function azureError(thrown: unknown, { operation, key, secrets }: AzureErrorContext): StoreError {
  if (thrown instanceof StoreError) return thrown;
  const { code, status, requestId, message, waitMs } = factsOf(thrown);
  const { failure, hint } = judge(code, status);
  const reason = secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), reasonOf(code, message));
  return new AzureError(
    { code, waitMs },
    { failure, provider: 'azure', operation, key, status, requestId, reason, hint },
    { cause: new Error(reason) },
  );
}

/** Codes whatever the status, most telling first. */
const BY_CODE: [codes: RegExp, verdict: Verdict][] = [
  [/^(BlobNotFound|ResourceNotFound)$/, { failure: 'absent' }],
  [
    /^Container(NotFound|BeingDeleted|Disabled)$/,
    misconfigured('the container does not exist: check destinationPath, or create the container'),
  ],
  [/^(BlobAlreadyExists|ConditionNotMet|TargetConditionNotMet|UnmodifiedCondition)$/, { failure: 'conflict' }],
  [
    /^(BlobImmutableDueTo\w+|BlobNotModifiableDue\w*|LeaseIdMissing|SnapshotsPresent)$/,
    refused('a lease, a legal hold or an immutability policy forbids to replace or delete it'),
  ],
  [/^BlobArchived$/, refused('the object is in the archive tier: move it to another tier first')],
  [
    /^AuthorizationPermissionMismatch$/,
    refused('the identity lacks a role: give it Storage Blob Data Contributor on the container'),
  ],
  [
    /^Authorization(Protocol|Permission|Service|ResourceType|SourceIP)Mismatch$/,
    refused('the shared access signature does not allow this: make one with the permissions in docs/stores/azure.md'),
  ],
  [
    /^AuthenticationFailed$/,
    refused('the key or signature is wrong or has expired, or the clock of this node is wrong: check the Secret'),
  ],
  [/^(InvalidAuthenticationInfo|NoAuthenticationInformation)$/, refused('check the Secret or the identity')],
  [
    /^AuthorizationFailure$/,
    refused('check the Secret, the role of the identity, and the firewall of the storage account'),
  ],
  [/^KeyBasedAuthenticationNotPermitted$/, refused('the account takes no keys: use an identity')],
  [/^(PublicAccessNotPermitted|AccountIsDisabled|InsufficientAccountPermissions)$/, { failure: 'refused' }],
  [
    /^EncryptionScope\w*|^ResourceTypeMismatch$/,
    misconfigured('the encryption scope is not there or not enabled: check --encryption-scope'),
  ],
  [
    /^FeatureNotSupportedForAccount|^BlobTagsNotSupported\w*/,
    refused('the storage account cannot do this: accounts with a hierarchical namespace have no tags'),
  ],
  [
    /^InvalidBlobOrBlock$/,
    misconfigured('unfinished blocks of another tool are in the way: Azure drops them a week after the last one'),
  ],
  [/^(ServerBusy|TooManyRequests|AccountBandwidth\w*)$/, { failure: 'throttled' }],
  [
    /^(InternalError|OperationTimedOut|Md5Mismatch|Crc64Mismatch|IncompleteBody|InvalidBlockList)$/,
    { failure: 'broken' },
  ],
  [
    /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|ERR_TLS_CERT)/,
    misconfigured("the store's certificate is not trusted: set endpointCA to its CA, or check destinationPath"),
  ],
  [/^(EPROTO|ERR_SSL|HPE_)/, misconfigured('not the protocol expected: check http or https and the port')],
  [/^(ENOTFOUND|EAI_AGAIN)$/, broken('the host name did not resolve: check the account in destinationPath and DNS')],
  [
    /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/,
    broken('the endpoint did not answer: check destinationPath, the store, proxies and network policies'),
  ],
];

const BY_STATUS: [fits: (status: number) => boolean, verdict: Verdict][] = [
  [(status) => status === 412, { failure: 'conflict' }],
  [(status) => status === 429 || status === 503, { failure: 'throttled' }],
  [(status) => status >= 500, { failure: 'broken' }],
  [(status) => status === 401 || status === 403, refused('check the Secret or the identity and its role')],
  [(status) => status === 404, misconfigured('nothing is known there: check destinationPath')],
  [(status) => status === 405, misconfigured('this does not look like Azure Blob Storage: check destinationPath')],
  [(status) => status >= 400, { failure: 'refused' }],
];

function judge(code: string, status: number | undefined): Verdict {
  const byCode = BY_CODE.find(([codes]) => codes.test(code))?.[1];
  if (byCode !== undefined) return byCode;
  if (status === undefined) return { failure: 'broken' };
  return BY_STATUS.find(([fits]) => fits(status))?.[1] ?? { failure: 'broken' };
}

function factsOf(thrown: unknown) {
  // Its fields are hidden from enumeration.
  const field = (name: string): unknown => (thrown instanceof Error ? Reflect.get(thrown, name) : undefined);
  const headers = fieldsOf(field('response')).headers;
  const status = field('statusCode');
  const header = (name: string) =>
    typeof headers === 'object' && headers !== null && 'get' in headers && typeof headers.get === 'function'
      ? textOf(headers.get(name))
      : undefined;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return {
    code: header('x-ms-error-code') ?? textOf(field('code')) ?? '',
    status: typeof status === 'number' ? status : undefined,
    requestId: header('x-ms-request-id'),
    // The first line; what follows repeats times and ids.
    message: (message.split('\n')[0] ?? '').slice(0, 400),
    waitMs: (Number(header('retry-after') ?? 0) || 0) * 1000,
  };
}

function reasonOf(code: string, message: string): string {
  if (message === '') return code === '' ? 'failed without a reason' : code;
  return code === '' || message.includes(code) ? message : `${code}: ${message}`;
}
