// The S3 client as we want it: addressing, timeouts, sockets, checksums, retries. Settings come decided and complete.
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3Settings } from './s3-settings.ts';

/** Attempts of one request, the first included; the SDK waits between them with jitter. */
export const MAX_ATTEMPTS = 3;

const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {}

/** Makes the client. Opens nothing. */
export function createS3Client(settings: S3Settings): S3Client {
  const agent = { keepAlive: true, maxSockets: settings.maxSockets, proxyEnv: settings.proxies };
  const config: S3ClientConfig = {
    region: settings.region,
    maxAttempts: MAX_ATTEMPTS,
    followRegionRedirects: settings.endpoint === undefined,
    // The SDK's own default says some things on the console.
    logger: SILENT,
    // A new socket for every large body and a round trip more: the SDK's 100-continue bypasses keep-alive.
    expectContinueHeader: false,
    requestChecksumCalculation: settings.requestChecksums,
    responseChecksumValidation: settings.responseChecksums,
    requestHandler: {
      connectionTimeout: settings.connectTimeoutMs,
      socketTimeout: settings.silenceTimeoutMs,
      httpAgent: agent,
      httpsAgent: settings.trustedCertificates ? { ...agent, ca: [...settings.trustedCertificates] } : agent,
    },
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint, forcePathStyle: true }),
    ...credentialsOf(settings),
  };
  const client = new S3Client(config);
  leaveBodiesUnsigned(client);
  return client;
}

function credentialsOf({ credentials }: S3Settings): S3ClientConfig {
  if (credentials === 'chain') return {};
  return 'profile' in credentials ? credentials : { credentials };
}

/** Texts that must not appear in any message. */
export function secretsOf({ credentials }: S3Settings): string[] {
  if (credentials === 'chain' || 'profile' in credentials) return [];
  const { secretAccessKey, sessionToken } = credentials;
  return sessionToken === undefined ? [secretAccessKey] : [secretAccessKey, sessionToken];
}

/**
 * Signs headers but not bodies: hashing each body for the signature costs more than sending it (facts.md). Integrity
 * is the checksums' business.
 */
function leaveBodiesUnsigned(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => (args) => {
      const request = args.request;
      if (BODY_COMMANDS.has(context.commandName ?? '') && hasHeaders(request)) {
        request.headers['x-amz-content-sha256'] ??= 'UNSIGNED-PAYLOAD';
      }
      return next(args);
    },
    { step: 'build', priority: 'low', name: 'leaveBodiesUnsigned' },
  );
}

const BODY_COMMANDS: ReadonlySet<string> = new Set(['PutObjectCommand', 'UploadPartCommand']);

function hasHeaders(request: unknown): request is { headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request;
}
