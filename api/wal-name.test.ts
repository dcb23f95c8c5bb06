import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareSegments,
  formatLsn,
  hashDirectory,
  historyName,
  isSegmentSize,
  nextSegment,
  offsetInSegment,
  parseLsn,
  parseWalName,
  segmentOf,
} from './wal-name.ts';

const MIB = 1024 * 1024;
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const timeline = fc.integer({ min: 1, max: 0xffffffff });
const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const segmentSize = fc.integer({ min: 20, max: 30 }).map((power) => 2 ** power);

test('every kind of name says what it holds', () => {
  const X = '0000000100000004000000A7';
  const place = { timeline: 1, log: 4, segment: 0xa7 };
  assert.deepEqual(parseWalName(X), { kind: 'segment', name: X, ...place });
  assert.deepEqual(parseWalName(`${X}.partial`), { kind: 'partial', name: `${X}.partial`, ...place });
  const label = `${X}.00000028.backup`;
  assert.deepEqual(parseWalName(label), { kind: 'backup-label', name: label, ...place });
  assert.deepEqual(parseWalName('0000000A.history'), { kind: 'history', name: '0000000A.history', timeline: 10 });
});

test('anything else is not a name', () => {
  const X = '0000000100000004000000A7';
  const strangers = [
    '',
    `${X}.gz`,
    `${X}0`,
    X.slice(1),
    `g${X.slice(1)}`,
    `${X}.partial.gz`,
    `${X}.28.backup`,
    ` ${X}`,
  ];
  for (const name of [...strangers, `${X}\n`, `a/${X}`, '2.history', '00000002.history.gz', `${X}.00000028.partial`]) {
    assert.equal(parseWalName(name), undefined, JSON.stringify(name));
  }
});

test('names keep their case, folders are in upper case', () => {
  fc.assert(
    fc.property(uint32, uint32, uint32, fc.boolean(), (tli, log, segment, lower) => {
      const upper = hex8(tli) + hex8(log) + hex8(segment);
      const name = lower ? upper.toLowerCase() : upper;
      const parsed = parseWalName(name);
      assert.ok(parsed);
      assert.equal(parsed.name, name);
      assert.equal(hashDirectory(parsed), upper.slice(0, 16));
    }),
  );
});

test('history files have no folder of their own', () => {
  const parsed = parseWalName('00000002.history');
  assert.ok(parsed);
  assert.equal(hashDirectory(parsed), undefined);
});

test('segment and offset together are the LSN, at every segment size', () => {
  fc.assert(
    fc.property(timeline, lsn, segmentSize, (tli, position, sizeBytes) => {
      const parsed = parseWalName(segmentOf(tli, position, sizeBytes));
      assert.ok(parsed?.kind === 'segment');
      assert.equal(parsed.timeline, tli);
      const start = (BigInt(parsed.log) << 32n) + BigInt(parsed.segment) * BigInt(sizeBytes);
      const offset = offsetInSegment(position, sizeBytes);
      assert.ok(offset >= 0 && offset < sizeBytes);
      assert.equal(start + BigInt(offset), position);
    }),
  );
});

test('the next segment is the one that holds the LSN one segment later', () => {
  fc.assert(
    fc.property(timeline, lsn, segmentSize, (tli, position, sizeBytes) => {
      const next = position + BigInt(sizeBytes);
      const expected = next < 2n ** 64n ? segmentOf(tli, next, sizeBytes) : undefined;
      assert.equal(nextSegment(segmentOf(tli, position, sizeBytes), sizeBytes), expected);
    }),
  );
});

test('only plain segments have a next one', () => {
  for (const name of ['0000000100000004000000A7.partial', '00000002.history', 'README']) {
    assert.equal(nextSegment(name, 16 * MIB), undefined);
  }
});

test('an LSN written is read back', () => {
  fc.assert(fc.property(lsn, (position) => assert.equal(parseLsn(formatLsn(position)), position)));
});

test('LSNs are written as PostgreSQL prints them', () => {
  assert.equal(formatLsn(0x16b374d848n), '16/B374D848');
  assert.equal(formatLsn(0n), '0/0');
});

test('what is not an LSN is refused with what was found', () => {
  for (const text of ['', '16', '/', '16/', '16/G', '123456789/0', '1/2/3', ' 1/2']) {
    assert.throws(() => parseLsn(text), { name: 'RangeError', message: /not an LSN/ }, JSON.stringify(text));
  }
});

test('segments have sizes of powers of two from 1 MiB to 1 GiB, and no other', () => {
  fc.assert(fc.property(segmentSize, (sizeBytes) => isSegmentSize(sizeBytes)));
  fc.assert(
    fc.property(segmentSize, fc.integer({ min: 1, max: MIB - 1 }), (size, more) => !isSegmentSize(size + more)),
  );
  for (const sizeBytes of [0, 1, MIB / 2, 3 * MIB, 2048 * MIB, -MIB, Number.NaN]) {
    assert.equal(isSegmentSize(sizeBytes), false, String(sizeBytes));
  }
});

function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}

test('segments are ordered by timeline, then by position, whatever the case of their names', () => {
  const names = [
    '000000010000000000000002',
    '0000000100000001000000ff',
    '0000000100000001000000FF.partial',
    '0000000A0000000000000001',
  ];
  const parsed = names.map((name) => {
    const position = parseWalName(name);
    assert.ok(position !== undefined && position.kind !== 'history');
    return position;
  });
  const order = parsed
    .slice(1)
    .map((position, index) => Math.sign(compareSegments(parsed[index] ?? position, position)));
  assert.deepEqual(order, [-1, 0, -1]);
});

test('a history file is named by its timeline', () => {
  assert.equal(historyName(0xab), '000000AB.history');
});
