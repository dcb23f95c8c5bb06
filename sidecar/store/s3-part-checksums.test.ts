// How parts are confirmed: each row of the table in s3-part-checksums.ts, against a server that answers as told.
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { failureOf, md5Of, startAnswering } from '../../test/servers/answering-s3.ts';

const CHECKSUM = 'x-amz-checksum-crc32';
const ALIKE = md5Of(Buffer.from('not of the content'));
const [one, two] = [Buffer.alloc(700_000, 'one;'), Buffer.alloc(700_000, 'two;')];

test('a store that answers the checksum of parts is believed for it, whatever its ETags', async (t) => {
  const { storage, asked } = await startStore(t, () => ({ etag: ALIKE, echoes: true }));
  for (const key of ['a', 'b']) {
    const upload = await storage.createMultipart(key);
    for (const [index, bytes] of [one, two].entries()) await upload.part(index + 1, bytes);
  }
  const checksums = ['POST CRC32', `PUT ${crcOf(one)}`, `PUT ${crcOf(two)}`];
  assert.deepEqual(asked, [...checksums, ...checksums]);
});

test('a store that says nothing of it is compared by MD5, from the first part on', async (t) => {
  let etag: string | undefined;
  const { storage, asked } = await startStore(t, () => ({ etag }));
  const upload = await storage.createMultipart('k');
  await upload.part(1, one);
  await upload.part(2, two);
  etag = ALIKE;
  const error = await failureOf(upload.part(3, two));
  assert.match(error.message, /the store holds other bytes of part 3/);
  assert.deepEqual(asked.slice(0, 3), ['POST CRC32', `PUT ${crcOf(one)}`, 'PUT -']);
  await storage.createMultipart('other');
  assert.equal(asked.at(-1), 'POST -');
});

test('its very first part is compared by MD5 where ETags are known to be MD5s', async (t) => {
  let wrong = 0;
  const { storage, asked } = await startStore(t, (method) => (method === 'PUT' && wrong-- > 0 ? { etag: ALIKE } : {}));
  await storage.put('small', Buffer.from('an MD5'));
  wrong = 1;
  await (await storage.createMultipart('k')).part(1, one);
  assert.deepEqual(asked, ['PUT -', 'POST CRC32', `PUT ${crcOf(one)}`, 'PUT -']);
});

test('an answered checksum of other bytes does not count: the part is sent again', async (t) => {
  let wrong = 2;
  const { storage, asked } = await startStore(t, (method) => ({
    echoes: method === 'PUT' && wrong-- > 0 ? 'other' : true,
  }));
  const upload = await storage.createMultipart('k');
  await upload.part(1, one);
  assert.equal(asked.length, 1 + 3);
  wrong = 3;
  assert.match((await failureOf(upload.part(2, two))).message, /the store holds other bytes of part 2/);
});

test('a part that the store itself found to differ is sent again', async (t) => {
  let wrong = 1;
  const { storage, asked } = await startStore(t, (method) =>
    method === 'PUT' && wrong-- > 0 ? { status: 400, code: 'BadDigest' } : { echoes: true },
  );
  const upload = await storage.createMultipart('k');
  await upload.part(1, one);
  assert.deepEqual(asked, ['POST CRC32', `PUT ${crcOf(one)}`, `PUT ${crcOf(one)}`]);
});

for (const [at, status] of [
  ['POST', 501],
  ['PUT', 400],
] as const) {
  test(`a store that refuses checksums (${at}: ${status}) gets none, and is compared by MD5`, async (t) => {
    const { storage, asked } = await startStore(t, (method, checksum) =>
      method === at && checksum !== '-' ? { status, code: 'NotImplemented' } : {},
    );
    for (const key of ['a', 'b']) {
      const upload = await storage.createMultipart(key);
      await upload.part(1, one);
    }
    const refused = at === 'POST' ? ['POST CRC32', 'POST -', 'PUT -'] : ['POST CRC32', `PUT ${crcOf(one)}`, 'PUT -'];
    assert.deepEqual(asked, [...refused, 'POST -', 'PUT -']);
  });
}

test('a part that is refused after another one has found that out is sent without a checksum too', async (t) => {
  const known = Promise.withResolvers<void>();
  const { storage } = await startStore(t, async (method, checksum) => {
    if (method === 'POST' || checksum === '-') return {};
    if (checksum === crcOf(two)) await known.promise;
    return { status: 400, code: 'InvalidRequest' };
  });
  const upload = await storage.createMultipart('k');
  const late = upload.part(2, two);
  await upload.part(1, one);
  known.resolve();
  await late;
});

test('what is refused with and without a checksum says nothing of checksums', async (t) => {
  let refuses = true;
  const { storage, asked } = await startStore(t, () =>
    refuses ? { status: 400, code: 'InvalidRequest' } : { echoes: true },
  );
  assert.match((await failureOf(storage.createMultipart('k'))).message, /InvalidRequest/);
  refuses = false;
  await storage.createMultipart('k');
  assert.equal(asked.at(-1), 'POST CRC32');
});

type Answer = { etag?: string | undefined; echoes?: boolean | 'other'; status?: number; code?: string };

/** `asked`: method and checksum (of a part its CRC-32, of an upload the algorithm) of each request. */
async function startStore(t: TestContext, answer: (method: string, checksum: string) => Answer | Promise<Answer>) {
  const asked: string[] = [];
  const server = await startAnswering(t, async (request, response) => {
    const sent = await buffer(request);
    const method = request.method ?? '';
    const checksum = checksumOf(request);
    asked.push(`${method} ${checksum}`);
    const { etag = md5Of(sent), echoes = false, status = 200, code } = await answer(method, checksum);
    if (status !== 200) return void response.writeHead(status).end(`<Error><Code>${code}</Code></Error>`);
    if (method === 'POST') return void response.end('<R><UploadId>u</UploadId></R>');
    const held = echoes === 'other' ? crcOf(Buffer.from('other')) : crcOf(sent);
    response.writeHead(200, { etag, ...(echoes === false ? {} : { [CHECKSUM]: held }) }).end();
  });
  return { ...server, asked };
}

function checksumOf({ headers }: IncomingMessage): string {
  return String(headers[CHECKSUM] ?? headers['x-amz-checksum-algorithm'] ?? '-');
}

function crcOf(bytes: Uint8Array): string {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32(bytes));
  return value.toString('base64');
}
