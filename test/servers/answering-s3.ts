// An HTTP server that answers as a test tells it, and our S3 adapter on it: for answers that no real server gives on demand.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { StoreError } from '../../api/errors.ts';
import { createS3Storage } from '../../sidecar/store/s3.ts';
import { DEFAULT_LIMITS, type S3Settings } from '../../sidecar/store/s3-settings.ts';

/** A secret that no output may show. */
export const MARKER = 'MARKER-that-must-stay-secret';

export function settingsFor(endpoint: string, overrides: Partial<S3Settings>): S3Settings {
  return {
    bucket: 'bucket',
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'STRANGER', secretAccessKey: MARKER },
    trustedCertificates: undefined,
    conditionalPut: 'unknown',
    requestChecksums: 'WHEN_REQUIRED',
    responseChecksums: 'WHEN_REQUIRED',
    ...DEFAULT_LIMITS,
    ...overrides,
  };
}

/** The server, its requests so far, and a storage on it; both are closed when the test ends. */
export async function startAnswering(t: TestContext, answer: RequestListener, settings: Partial<S3Settings> = {}) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const storage = createS3Storage(settingsFor(`http://127.0.0.1:${port}`, settings));
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  t.after(async () => {
    storage.close();
    await close();
  });
  return { storage, requests, close };
}

/** As an ETag, with its quotes. */
export function md5Of(bytes: Uint8Array): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

/** The StoreError that work must end with. */
export async function failureOf(work: Promise<unknown>): Promise<StoreError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof StoreError, `not a StoreError: ${error}`);
  return error;
}
