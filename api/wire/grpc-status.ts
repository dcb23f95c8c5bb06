// The one table from our failures to gRPC codes. The instance manager treats all codes alike (cnpg-i-contract.md §5.3);
// they are for people, logs and tests.
import { status } from '@grpc/grpc-js';
import {
  CancelledError,
  ConflictError,
  CorruptError,
  InvalidInputError,
  messageOf,
  NotFoundError,
  PreconditionError,
  StoreError,
  type StoreFailure,
} from '../errors.ts';
import { KubeError } from './kube-http.ts';

/** How a failure is answered and logged. */
export type FailureStatus = {
  code: status;
  /** The message for the caller, at most MAX_DETAILS characters. */
  details: string;
  level: 'error' | 'warn' | 'info';
};

type Row = Omit<FailureStatus, 'details'>;

/** The message travels in an HTTP/2 header, percent-encoded: long ones would make the peer refuse the whole answer. */
const MAX_DETAILS = 2000;

const INTERNAL: Row = { code: status.INTERNAL, level: 'error' };

/** A retry a moment later may succeed with UNAVAILABLE and ABORTED, and with no other code. */
const BY_CLASS: readonly [new (...facts: never[]) => Error, Row][] = [
  [InvalidInputError, { code: status.INVALID_ARGUMENT, level: 'warn' }],
  [PreconditionError, { code: status.FAILED_PRECONDITION, level: 'warn' }],
  [ConflictError, { code: status.FAILED_PRECONDITION, level: 'warn' }],
  // Half of the files that a recovery asks for do not exist: no reason to warn.
  [NotFoundError, { code: status.NOT_FOUND, level: 'info' }],
  [CorruptError, { code: status.DATA_LOSS, level: 'error' }],
  [CancelledError, { code: status.CANCELLED, level: 'info' }],
];

const BY_STORE_FAILURE: Record<StoreFailure, Row> = {
  absent: { code: status.NOT_FOUND, level: 'warn' },
  refused: { code: status.FAILED_PRECONDITION, level: 'warn' },
  misconfigured: { code: status.FAILED_PRECONDITION, level: 'warn' },
  throttled: { code: status.UNAVAILABLE, level: 'warn' },
  broken: { code: status.UNAVAILABLE, level: 'warn' },
  conflict: { code: status.ABORTED, level: 'warn' },
};

/** Finds the answer for anything that a handler threw. */
export function statusOf(thrown: unknown): FailureStatus {
  const message = messageOf(thrown);
  const details = message.length > MAX_DETAILS ? `${message.slice(0, MAX_DETAILS - 1)}…` : message;
  return { ...rowOf(thrown), details };
}

function rowOf(thrown: unknown): Row {
  if (thrown instanceof StoreError) return BY_STORE_FAILURE[thrown.failure];
  if (thrown instanceof KubeError) return rowOfKube(thrown);
  return BY_CLASS.find(([kind]) => thrown instanceof kind)?.[1] ?? INTERNAL;
}

function rowOfKube(error: KubeError): Row {
  if (error.retriable) return { code: status.UNAVAILABLE, level: 'warn' };
  if (error.status === 409) return { code: status.ABORTED, level: 'warn' };
  if (error.status === 401 || error.status === 403 || error.status === 404) {
    return { code: status.FAILED_PRECONDITION, level: 'warn' };
  }
  return INTERNAL;
}
