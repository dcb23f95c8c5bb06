import assert from 'node:assert/strict';
import { test } from 'node:test';
import { showUrl } from './show.ts';

for (const [url, shown] of [
  ['https://minio:9000/folder', '"https://minio:9000/folder"'],
  ['https://user:hidden@minio:9000', '"https://…@minio:9000"'],
  ['https://user:hid/den@minio:9000', '"https://…@minio:9000"'],
  ['user:hidden@minio:9000', '"…@minio:9000"'],
  ['https://a.blob.core.windows.net/c?sig=hidden', '"https://a.blob.core.windows.net/c?…"'],
  ['AccountName=a;AccountKey=hidden==;EndpointSuffix=x', '"AccountName=a;AccountKey=…"'],
] as const) {
  test(`${url} is shown as ${shown}`, () => assert.equal(showUrl(url), shown));
}
