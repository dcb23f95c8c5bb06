// From an answer of Google Cloud Storage, or a broken connection, to a StoreError: what failed, by what the caller should
// do, and the likely cause. Pure. Reasons and codes: Google's page on the HTTP status and error codes for JSON.
import { StoreError } from '../../api/errors.ts';
import { broken, fieldsOf, misconfigured, refused, textOf, type Verdict } from './verdict.ts';

export type GcsErrorFacts = {
  /** Absent for a connection that broke. */
  status?: number | undefined;
  /** Google's short reason (`conditionNotMet`), or the code of the socket (`ECONNREFUSED`). */
  reason: string;
  message: string;
  requestId?: string | undefined;
};

/** Where it happened: the verb of the JSON API, and `bucket/key`. */
export type GcsErrorContext = { operation: string; key: string };

/** The StoreError for facts. What Google says names the identity, the permission and the resource: it is kept. */
export function gcsError(facts: GcsErrorFacts, context: GcsErrorContext): StoreError {
  const { failure, hint } = judge(facts);
  const reason = redacted(reasonOf(facts));
  const { status, requestId } = facts;
  return new StoreError({ failure, provider: 'gcs', ...context, status, requestId, reason, hint });
}

/** What the body of an answer says about the failure; bodies that are not Google's count as they are. */
export function factsOfAnswer(status: number, body: string, requestId: string | undefined): GcsErrorFacts {
  const error = fieldsOf(fieldsOf(parsed(body)).error);
  const [first] = Array.isArray(error.errors) ? error.errors : [];
  return {
    status,
    reason: textOf(fieldsOf(first).reason) ?? '',
    message:
      textOf(error.message) ??
      body
        .replaceAll(/<[^>]*>|\s+/g, ' ')
        .trim()
        .slice(0, 300),
    requestId,
  };
}

/** What a socket or TLS error says. */
export function factsOfThrown(thrown: unknown): GcsErrorFacts {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { reason: textOf(fieldsOf(thrown).code) ?? '', message };
}

/** Tokens and the addresses of upload sessions, which are as good as tokens. */
export function redacted(text: string): string {
  return text
    .replaceAll(/\bBearer\s+\S+/gi, 'Bearer ***')
    .replaceAll(/\bya29\.[\w.-]+/g, '***')
    .replaceAll(/\bupload_id=[^&\s"']+/g, 'upload_id=***')
    .replaceAll(/-----BEGIN[^-]*PRIVATE KEY-----[^-]*(-----END[^-]*-----)?/g, '***');
}

/** Reasons whatever the status, most telling first. */
const BY_REASON: [reasons: RegExp, verdict: Verdict][] = [
  [/^(rateLimitExceeded|userRateLimitExceeded|quotaExceeded|slowDown)$/, { failure: 'throttled' }],
  [/^(conditionNotMet)$/, { failure: 'conflict' }],
  [
    /^(retentionPolicyNotMet|objectUnderActiveHold)$/,
    refused('the bucket keeps its objects: a retention policy or a hold forbids to replace or delete them'),
  ],
  [/^(accountDisabled|userProjectAccountProblem)$/, refused('the project or its billing account is closed: open it')],
  [/^(userProjectMissing)$/, refused('the bucket lets the requester pay, which is not supported')],
  [/^(keyDisabled|keyDestroyed|kmsKey\w*|customerEncryptionKey\w*)$/i, refused('check the KMS key and its state')],
  [
    /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|ERR_TLS_CERT)/,
    misconfigured("the store's certificate is not trusted: set endpointCA to its CA"),
  ],
  [/^(EPROTO|ERR_SSL|HPE_)/, misconfigured('not the protocol expected: check STORAGE_EMULATOR_HOST and HTTPS_PROXY')],
  [/^(ENOTFOUND|EAI_AGAIN)$/, broken('the host name did not resolve: check DNS')],
  [
    /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/,
    broken('the store did not answer: check network policies, HTTPS_PROXY and STORAGE_EMULATOR_HOST'),
  ],
];

const BY_STATUS: [fits: (status: number) => boolean, verdict: Verdict][] = [
  [(status) => status === 412, { failure: 'conflict' }],
  [(status) => status === 429 || status === 503, { failure: 'throttled' }],
  [(status) => status === 408 || status >= 500, { failure: 'broken' }],
  [(status) => status === 401, refused('the store did not accept the credentials: check the Secret')],
  [
    (status) => status === 403,
    refused('grant the identity the role Storage Object User on the bucket (docs/stores/gcs.md), or check the Secret'),
  ],
  [(status) => status === 404, misconfigured('the bucket does not exist: check destinationPath, or create the bucket')],
  [(status) => status < 400, misconfigured('this does not look like Google Cloud Storage: check the endpoint')],
  [(status) => status >= 400, { failure: 'refused' }],
];

function judge({ reason, message, status }: GcsErrorFacts): Verdict {
  const byReason = BY_REASON.find(([reasons]) => reasons.test(reason))?.[1];
  if (byReason !== undefined) return byReason;
  if (status === undefined) return { failure: 'broken' };
  if (/cloudkms|Cloud KMS/i.test(message) && status < 500) {
    return refused("grant the project's storage service agent the role Cloud KMS CryptoKey Encrypter/Decrypter");
  }
  return BY_STATUS.find(([fits]) => fits(status))?.[1] ?? { failure: 'broken' };
}

function reasonOf({ reason, message }: GcsErrorFacts): string {
  if (message === '') return reason === '' ? 'answered without a reason' : reason;
  return reason === '' || message.includes(reason) ? message : `${reason}: ${message}`;
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
