import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../../api/wire/log.ts';
import { type DamagedBlock, LISTED_BLOCKS, openDamageLedger } from './damage-ledger.ts';

test('damage everywhere gives a bounded list, the true number, and a dozen lines in the log', () => {
  const { log, lines } = capturingLog();
  const ledger = openDamageLedger(log);
  for (let block = 0; block < 5000; block++) {
    assert.equal(ledger.isFull(), block >= LISTED_BLOCKS);
    ledger.add(damaged(block));
  }
  const { blocks, total } = ledger.close();
  assert.equal(total, 5000);
  assert.deepEqual(
    blocks,
    Array.from({ length: LISTED_BLOCKS }, (_, block) => damaged(block)),
  );
  assert.ok(lines.length < 13, `${lines.length} lines`);
  assert.match(lines[0] ?? '', /"block":0,.*checksum/);
  assert.match(lines.at(-1) ?? '', /"level":"error".*"damagedBlocks":5000.*base\/5\/16384/);
});

test('a backup without damage says nothing', () => {
  const { log, lines } = capturingLog();
  assert.deepEqual(openDamageLedger(log).close(), { blocks: [], total: 0 });
  assert.deepEqual(lines, []);
});

function damaged(block: number): DamagedBlock {
  return { relation: 'base/5/16384', fork: 'main', path: 'base/5/16384', block, expected: 1, found: 2 };
}

function capturingLog() {
  const lines: string[] = [];
  return { log: createLog({ level: 'debug', destination: { write: (line) => void lines.push(line) } }), lines };
}
