import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../../api/wire/log.ts';
import { randomLike } from '../../../test/wal-like.ts';
import { createPageVerifier, PAGE_BYTES } from './checksum.ts';
import { type DamageLedger, LISTED_BLOCKS, openDamageLedger } from './damage-ledger.ts';
import { createPageChecker, type PageCheckerOptions } from './page-checker.ts';

const verifier = createPageVerifier();
const START_LSN = 0x1_0000_0000n;

test('a page that does not verify twice is damage: relation, fork, file, block of the fork, both checksums', async () => {
  const ledger = openDamageLedger(silentLog());
  const pages = [0, 1, 2, 3].map((block) => validPage(3 * 131_072 + 32 + block));
  const right = pages[2]?.readUInt16LE(8) ?? 0;
  pages[2]?.writeUInt16LE(right ^ 0x100, 8);
  const asked: number[] = [];
  const reread = async (block: number) => {
    asked.push(block);
    return pages[block - 32];
  };
  await checker({ path: 'base/5/16384_fsm.3', ledger, reread }).inspect(Buffer.concat(pages), 32 * PAGE_BYTES);
  assert.deepEqual(asked, [34]);
  assert.deepEqual(ledger.close(), {
    total: 1,
    blocks: [
      {
        ...{ relation: 'base/5/16384', fork: 'fsm', path: 'base/5/16384_fsm.3' },
        ...{ block: 3 * 131_072 + 34, expected: right, found: right ^ 0x100 },
      },
    ],
  });
});

test('a page that was torn by a write is no damage, and goes on whole', async () => {
  const ledger = openDamageLedger(silentLog());
  const whole = Buffer.concat([validPage(0), validPage(1), validPage(2)]);
  const piece = Buffer.from(whole);
  randomLike(PAGE_BYTES / 2, 'another state').copy(piece, PAGE_BYTES + PAGE_BYTES / 2);
  await checker({
    ledger,
    reread: async (block) => whole.subarray(block * PAGE_BYTES, (block + 1) * PAGE_BYTES),
  }).inspect(piece, 0);
  assert.equal(ledger.close().total, 0);
  assert.ok(piece.equals(whole));
});

test('a page whose second read is newer than the backup is no damage', async () => {
  const ledger = openDamageLedger(silentLog());
  const broken = brokenPage(0);
  const newer = Buffer.from(broken);
  newer.writeUInt32LE(1, 0);
  await checker({ ledger, reread: async () => newer }).inspect(broken, 0);
  assert.equal(ledger.close().total, 0);
});

test('a page that is newer than the backup is not read again', async () => {
  const piece = brokenPage(0);
  piece.writeUInt32LE(1, 0);
  await checker({ reread: () => Promise.reject(new Error('read again')) }).inspect(piece, 0);
});

test('a block that is gone at the second read is no damage', async () => {
  const ledger = openDamageLedger(silentLog());
  await checker({ ledger, reread: async () => undefined }).inspect(brokenPage(0), 0);
  assert.equal(ledger.close().total, 0);
});

test('pages of zeros and a part of a page at the end are passed over', async () => {
  const piece = Buffer.concat([Buffer.alloc(2 * PAGE_BYTES), Buffer.alloc(100, 1)]);
  await checker({ reread: () => Promise.reject(new Error('read again')) }).inspect(piece, 0);
});

test('blocks are counted with the segment size of the server', async () => {
  const ledger = openDamageLedger(silentLog());
  const options = { path: 'base/5/16384.2', segmentBlocks: 16, ledger, reread: async () => brokenPage(0) };
  await checker(options).inspect(validPage(2 * 16 + 4), 4 * PAGE_BYTES);
  assert.equal(ledger.close().total, 0);
});

test('a full ledger counts on, without a pause for each piece', async () => {
  const ledger = openDamageLedger(silentLog());
  const broken = brokenPage(0);
  const { inspect } = checker({ ledger, reread: async () => broken });
  await inspect(Buffer.concat(Array.from({ length: LISTED_BLOCKS }, () => broken)), 0);
  assert.ok(ledger.isFull());
  const turn = new Promise((resolve) => setImmediate(resolve, 'paused'));
  assert.equal(await Promise.race([inspect(broken, 0), turn]), undefined);
  assert.equal(ledger.close().total, LISTED_BLOCKS + 1);
});

test('a cancelled backup does not wait for the second read', async () => {
  const abort = new AbortController();
  const inspected = checker({ signal: abort.signal, reread: async () => undefined }).inspect(brokenPage(0), 0);
  abort.abort(new Error('cancelled here'));
  await assert.rejects(inspected, { name: 'AbortError' });
});

test('a file of no relation gets no checker', () => {
  assert.equal(createPageChecker({ ...defaults(), path: 'global/pg_control' }), undefined);
});

function checker(options: Partial<PageCheckerOptions>) {
  const made = createPageChecker({ ...defaults(), ...options });
  assert.ok(made !== undefined);
  return made;
}

function defaults(): PageCheckerOptions {
  const ledger: DamageLedger = openDamageLedger(silentLog());
  const { signal } = new AbortController();
  return { path: 'base/5/16384', startLsn: START_LSN, reread: async () => undefined, verifier, ledger, signal };
}

/** Its checksum is the one that the verifier expects: what is right is the other test's matter. */
function validPage(block: number): Buffer {
  const page = randomLike(PAGE_BYTES, `block ${block}`);
  page.fill(0, 0, 8);
  page.writeUInt16LE(1, 14);
  const [bad] = verifier.findBad(page, block, START_LSN);
  if (bad !== undefined) page.writeUInt16LE(bad.expected, 8);
  return page;
}

/** Wrong at any of the first blocks: the block's number changes low bits only. */
function brokenPage(block: number): Buffer {
  const page = validPage(block);
  page.writeUInt16LE(page.readUInt16LE(8) ^ 0x8000, 8);
  return page;
}
