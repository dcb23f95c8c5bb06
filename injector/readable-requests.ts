// Bytes that are no protobuf message are bad input like any other. grpc-js would answer INTERNAL, without saying of what.
import type { handleUnaryCall } from '@grpc/grpc-js';
import { InvalidInputError } from '../api/errors.ts';
import { type GrpcService, unary } from '../api/wire/grpc.ts';
import type { Log } from '../api/wire/log.ts';

/** The same service, which refuses requests that cannot be decoded with INVALID_ARGUMENT and one line in the log. */
export function withReadableRequests({ definition, implementation }: GrpcService, log: Log): GrpcService {
  const refuse = unary(log, (unreadable: unknown) => {
    throw unreadable;
  });
  const methods = Object.entries(definition).map(([name, method]) => [
    name,
    { ...method, requestDeserialize: (bytes: Buffer) => decoded(method.requestDeserialize, bytes) },
  ]);
  const handlers = Object.entries(implementation).map(([name, handler]) => {
    const checked: handleUnaryCall<unknown, unknown> = (call, callback) => {
      const next = call.request instanceof InvalidInputError ? refuse : (handler as typeof checked);
      next(call, callback);
    };
    return [name, checked];
  });
  return { definition: Object.fromEntries(methods), implementation: Object.fromEntries(handlers) };
}

/** The message, or why there is none: the refusal belongs to the handler. */
function decoded(decode: (bytes: Buffer) => unknown, bytes: Buffer): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    const advice = 'must be the protobuf message of this call, of CNPG-I 0.2 or later';
    return new InvalidInputError('request', `${bytes.length} bytes`, advice, { cause: error });
  }
}
