// Failures in few words that never change, for labels of metrics.
import {
  CancelledError,
  ConflictError,
  CorruptError,
  InvalidInputError,
  NotFoundError,
  PreconditionError,
  StoreError,
  type StoreFailure,
} from '../../api/errors.ts';

const STORE_FAILURES: readonly StoreFailure[] = [
  'absent',
  'refused',
  'throttled',
  'broken',
  'misconfigured',
  'conflict',
];

/** The class of a failure, as label: the store's own classes, and one for each error that a caller tells apart. */
export function classOf(error: unknown): string {
  if (error instanceof StoreError) return error.failure;
  const [, name] = CLASSES.find(([kind]) => error instanceof kind) ?? [];
  return name ?? 'internal';
}

const CLASSES = [
  [ConflictError, 'conflict_of_data'],
  [CorruptError, 'corrupt'],
  [PreconditionError, 'precondition'],
  [InvalidInputError, 'invalid_input'],
  [NotFoundError, 'not_found'],
  [CancelledError, 'cancelled'],
] as const;

/** Every class that there is. */
export const FAILURE_CLASSES: readonly string[] = [...STORE_FAILURES, ...CLASSES.map(([, name]) => name), 'internal'];
