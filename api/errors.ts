// One class for each thing that a caller would do differently. Facts are fields; `cause` is kept; `hint` says what
// a person can do. Secrets never enter any of them.

/** What went wrong in an object store, by what the caller should do about it. */
export type StoreFailure =
  /** The object is positively not there. */
  | 'absent'
  /** The store said no: credentials, permissions, policy, lock. A retry will not help. */
  | 'refused'
  /** The store asks for patience: retry later. */
  | 'throttled'
  /** Network, server error, cut body: retry. */
  | 'broken'
  /** Bucket missing, wrong region, wrong endpoint, bad TLS trust: somebody must change the settings. */
  | 'misconfigured'
  /** A conditional request met another state than the one it asked for. */
  | 'conflict';

/** A request to an object store that failed. The message carries provider, operation, key, status, request id, cause. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly failure: StoreFailure;
  readonly provider: string;
  readonly operation: string;
  readonly key: string;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly hint: string | undefined;

  constructor(
    facts: {
      failure: StoreFailure;
      provider: string;
      operation: string;
      key: string;
      status?: number | undefined;
      requestId?: string | undefined;
      reason: string;
      hint?: string | undefined;
    },
    options?: { cause?: unknown },
  ) {
    const details = [
      facts.status === undefined ? undefined : `HTTP ${facts.status}`,
      facts.requestId === undefined ? undefined : `request id ${facts.requestId}`,
    ].filter((detail) => detail !== undefined);
    const where = details.length === 0 ? '' : ` (${details.join(', ')})`;
    const hint = facts.hint === undefined ? '' : `; ${facts.hint}`;
    super(`${facts.provider} ${facts.operation} ${facts.key}: ${facts.reason}${where}${hint}`, options);
    this.failure = facts.failure;
    this.provider = facts.provider;
    this.operation = facts.operation;
    this.key = facts.key;
    this.status = facts.status;
    this.requestId = facts.requestId;
    this.hint = facts.hint;
  }

  /** Whether the same request may succeed a moment later. */
  get retriable(): boolean {
    return this.failure === 'throttled' || this.failure === 'broken';
  }
}

/** A value that somebody wrote is not usable: field, value found, what to do instead. */
export class InvalidInputError extends Error {
  override readonly name = 'InvalidInputError';
  readonly field: string;
  readonly found: unknown;
  readonly advice: string;

  constructor(field: string, found: unknown, advice: string, options?: { cause?: unknown }) {
    super(`${field}: ${found === undefined ? 'missing' : `found ${JSON.stringify(found)}`}: ${advice}`, options);
    this.field = field;
    this.found = found;
    this.advice = advice;
  }
}

/** Something that must be in place first is not: a missing ObjectStore, a grant, a Secret's key. */
export class PreconditionError extends Error {
  override readonly name = 'PreconditionError';
  readonly hint: string | undefined;

  constructor(message: string, options?: { cause?: unknown; hint?: string }) {
    super(options?.hint === undefined ? message : `${message}; ${options.hint}`, options);
    this.hint = options?.hint;
  }
}

/** A file that was asked for is positively not in the archive. */
export class NotFoundError extends Error {
  override readonly name = 'NotFoundError';
}

/** Stored bytes cannot be decoded or do not have the size or digest that they must have. */
export class CorruptError extends Error {
  override readonly name = 'CorruptError';
  /** False: this version cannot decode it (memory, an option of the format, something behind the end); another reader may. */
  readonly certain: boolean;

  constructor(message: string, options: { cause?: unknown; certain?: boolean } = {}) {
    super(message, options);
    this.certain = options.certain ?? true;
  }
}

/** Going on would overwrite or mix data: another content is stored, the archive is not empty, another owner. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError';
}

/** The caller went away or the process is stopping. */
export class CancelledError extends Error {
  override readonly name = 'CancelledError';
}

/** The one-line text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
