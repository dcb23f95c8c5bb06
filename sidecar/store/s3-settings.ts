// From an ObjectStore, the values of its Secrets and the environment to complete S3 settings (object-store-layout.md
// §10.1). Pure. The boto3 variables are part of what people rely on (field-use.md).
import { InvalidInputError } from '../../api/errors.ts';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { awsProfile, readTimeoutMs } from './client-options.ts';
import { connectionTrust } from './connections.ts';
import { parseDestination } from './destination.ts';

export type ChecksumMode = 'WHEN_SUPPORTED' | 'WHEN_REQUIRED';

/** Everything decided: nothing is looked up later but the credentials of a profile or `chain` (web identity, Pod identity, IMDS…). */
export type S3Settings = {
  bucket: string;
  /** Path style when given, virtual hosts otherwise. */
  endpoint: string | undefined;
  region: string;
  /** Keys; a profile of the shared configuration files; or whatever the SDK finds, AWS_PROFILE included. */
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | { profile: string } | 'chain';
  /** Complete set of trusted CAs in PEM; undefined for Node's own. */
  trustedCertificates: readonly string[] | undefined;
  /** Whether the store is known to honour conditional puts; `unknown`: found out by the first one. */
  conditionalPut: boolean | 'unknown';
  requestChecksums: ChecksumMode;
  responseChecksums: ChecksumMode;
  connectTimeoutMs: number;
  /** A connection on which nothing moves for so long is broken. */
  silenceTimeoutMs: number;
  maxSockets: number;
  /** Variables that name proxies, as they are; absent for none. */
  proxies?: Record<string, string>;
};

/** What the Secrets of `s3Credentials` hold, decoded; undefined with `inheritFromIAMRole`. */
export type S3SecretValues =
  | { accessKeyId: string; secretAccessKey: string; region: string | undefined; sessionToken: string | undefined }
  | undefined;

export const DEFAULT_LIMITS = { connectTimeoutMs: 10_000, silenceTimeoutMs: 60_000, maxSockets: 64 };

const DEFAULT_REGION = 'us-east-1';

/**
 * Decides the settings. The endpoint is `endpointURL`, else AWS_ENDPOINT_URL_S3, else AWS_ENDPOINT_URL; the region is
 * the Secret's, else AWS_REGION, else AWS_DEFAULT_REGION, else us-east-1. With an endpoint, checksums are used where
 * required only (R2, B2, Garage refuse or ignore them) and conditional puts must prove themselves; both are known to
 * work on AWS. `endpointCA` is added to the system's CAs. Of the tools' arguments `--read-timeout` counts, and
 * `--aws-profile` where the ObjectStore holds no keys; the region of a profile does not. Throws InvalidInputError for a
 * field, PreconditionError for two profiles.
 */
export function resolveS3Settings(
  configuration: ObjectStoreConfiguration,
  secrets: S3SecretValues,
  env: Record<string, string | undefined>,
  certificateAuthority: string | undefined,
): S3Settings {
  const endpoint = readEndpoint(configuration, env);
  const checksums = endpoint === undefined ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED';
  return {
    bucket: parseDestination('s3', configuration.destinationPath).bucket,
    endpoint,
    region: secrets?.region || env.AWS_REGION || env.AWS_DEFAULT_REGION || DEFAULT_REGION,
    credentials: secrets === undefined ? roleOf(configuration) : keysOf(secrets),
    ...connectionTrust(env, certificateAuthority),
    conditionalPut: endpoint === undefined ? true : 'unknown',
    requestChecksums: readChecksums(env, 'AWS_REQUEST_CHECKSUM_CALCULATION') ?? checksums,
    responseChecksums: readChecksums(env, 'AWS_RESPONSE_CHECKSUM_VALIDATION') ?? checksums,
    ...DEFAULT_LIMITS,
    silenceTimeoutMs: readTimeoutMs(configuration) ?? DEFAULT_LIMITS.silenceTimeoutMs,
  };
}

function roleOf(configuration: ObjectStoreConfiguration): S3Settings['credentials'] {
  const profile = awsProfile(configuration);
  return profile === undefined ? 'chain' : { profile };
}

function keysOf({ accessKeyId, secretAccessKey, sessionToken }: NonNullable<S3SecretValues>) {
  return sessionToken === undefined ? { accessKeyId, secretAccessKey } : { accessKeyId, secretAccessKey, sessionToken };
}

function readEndpoint(configuration: ObjectStoreConfiguration, env: Record<string, string | undefined>) {
  const candidates: [field: string, value: string | undefined][] = [
    ['spec.configuration.endpointURL', configuration.endpointURL],
    ['AWS_ENDPOINT_URL_S3', env.AWS_ENDPOINT_URL_S3],
    ['AWS_ENDPOINT_URL', env.AWS_ENDPOINT_URL],
  ];
  const [field = '', value] = candidates.find(([, candidate]) => candidate) ?? [];
  if (value === undefined) return undefined;
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) {
    throw new InvalidInputError(field, value, 'write http://HOST[:PORT] or https://HOST[:PORT]');
  }
  return value;
}

function readChecksums(env: Record<string, string | undefined>, name: string): ChecksumMode | undefined {
  const value = env[name];
  if (!value) return undefined;
  const mode = value.toUpperCase();
  if (mode === 'WHEN_SUPPORTED' || mode === 'WHEN_REQUIRED') return mode;
  throw new InvalidInputError(name, value, 'write when_supported or when_required');
}
