import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { resolveS3Settings } from './s3-settings.ts';

const CONFIGURATION = { destinationPath: 's3://bucket/p' };
const SECRETS = { accessKeyId: 'i', secretAccessKey: 's', region: undefined, sessionToken: undefined };

test('decides the region: Secret, AWS_REGION, AWS_DEFAULT_REGION, us-east-1', () => {
  const both = { AWS_REGION: 'one', AWS_DEFAULT_REGION: 'two' };
  const regionOf = (secret: string | undefined, env: Record<string, string>) =>
    resolveS3Settings(CONFIGURATION, { ...SECRETS, region: secret }, env, undefined).region;
  assert.equal(regionOf('zero', both), 'zero');
  assert.equal(regionOf(undefined, both), 'one');
  assert.equal(regionOf(undefined, { AWS_DEFAULT_REGION: 'garage' }), 'garage');
  assert.equal(regionOf(undefined, {}), 'us-east-1');
});

test('uses checksums and trusts conditional puts on AWS, and neither with an endpoint', () => {
  const aws = resolveS3Settings(CONFIGURATION, SECRETS, {}, undefined);
  assert.deepEqual(
    [aws.requestChecksums, aws.responseChecksums, aws.conditionalPut],
    ['WHEN_SUPPORTED', 'WHEN_SUPPORTED', true],
  );
  const kin = resolveS3Settings({ ...CONFIGURATION, endpointURL: 'https://r2' }, SECRETS, {}, undefined);
  assert.deepEqual(
    [kin.requestChecksums, kin.responseChecksums, kin.conditionalPut],
    ['WHEN_REQUIRED', 'WHEN_REQUIRED', 'unknown'],
  );
});

test('honours the checksum variables in any case and refuses other values by name', () => {
  const env = { AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required', AWS_RESPONSE_CHECKSUM_VALIDATION: 'WHEN_REQUIRED' };
  const settings = resolveS3Settings(CONFIGURATION, SECRETS, env, undefined);
  assert.deepEqual([settings.requestChecksums, settings.responseChecksums], ['WHEN_REQUIRED', 'WHEN_REQUIRED']);
  assert.throws(
    () => resolveS3Settings(CONFIGURATION, SECRETS, { AWS_REQUEST_CHECKSUM_CALCULATION: 'never' }, undefined),
    {
      field: 'AWS_REQUEST_CHECKSUM_CALCULATION',
    },
  );
});

test('prefers endpointURL to AWS_ENDPOINT_URL_S3 to AWS_ENDPOINT_URL', () => {
  const env = { AWS_ENDPOINT_URL_S3: 'http://two', AWS_ENDPOINT_URL: 'http://three' };
  const endpointOf = (endpointURL: string | undefined, environment: Record<string, string>) =>
    resolveS3Settings({ ...CONFIGURATION, ...(endpointURL ? { endpointURL } : {}) }, SECRETS, environment, undefined)
      .endpoint;
  assert.equal(endpointOf('http://one', env), 'http://one');
  assert.equal(endpointOf(undefined, env), 'http://two');
  assert.equal(endpointOf(undefined, { AWS_ENDPOINT_URL: 'http://three' }), 'http://three');
  assert.throws(() => endpointOf('minio:9000', {}), { field: 'spec.configuration.endpointURL' });
});

test("adds an endpointCA to the system's CAs", () => {
  const { trustedCertificates = [] } = resolveS3Settings(CONFIGURATION, SECRETS, {}, 'PEM');
  assert.equal(trustedCertificates.at(-1), 'PEM');
  assert.equal(trustedCertificates.length, rootCertificates.length + 1);
});

test('leaves the credentials to the chain of the provider for a role', () => {
  assert.equal(resolveS3Settings(CONFIGURATION, undefined, {}, undefined).credentials, 'chain');
});

test('takes the proxies that the environment names, and nothing else of it', () => {
  const env = { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: '.svc', HOME: '/root', http_proxy: '' };
  const configuration = { destinationPath: 's3://b/' };
  const { proxies } = resolveS3Settings(configuration, undefined, env, undefined);
  assert.deepEqual(proxies, { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: '.svc' });
});
