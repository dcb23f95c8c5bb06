import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReport, expect, median, Unexpected } from './report.ts';

function record(isTTY: boolean) {
  const output = {
    text: '',
    isTTY,
    columns: 40,
    write(piece: string) {
      output.text += piece;
    },
  };
  const clock = { ms: 0 };
  return { output, clock, report: createReport(output, 2, () => clock.ms) };
}

test('a step is a line at its start, its findings, and a line with seconds', async () => {
  const { output, clock, report } = record(false);
  await report.step('Start', async (step) => {
    step.say('PostgreSQL\nS3');
    clock.ms += 1500;
  });
  assert.equal(output.text, '[1/2] Start\n    PostgreSQL\n    S3\n    ok, 1.5 s\n');
});

test('progress is a plain line now and then when the output is no terminal', async () => {
  const { output, clock, report } = record(false);
  await report.step('Archive', async (step) => {
    for (let segment = 1; segment <= 12; segment += 1) {
      clock.ms += 1000;
      step.progress(`${segment} segments`);
    }
  });
  assert.deepEqual(output.text.match(/… .*/g), ['… 5 segments', '… 10 segments']);
  assert.ok(!output.text.includes('\r'));
});

test('progress is overwritten in place on a terminal and fits one line', async () => {
  const { output, report } = record(true);
  await report.step('Archive', async (step) => {
    step.progress('x'.repeat(100));
    step.say('done');
  });
  const [, shown = ''] = output.text.split('\r\u001b[K');
  assert.equal(shown.length, 39);
  assert.ok(output.text.includes('\r\u001b[K    done\n'));
});

test('a failed step has no line of success', async () => {
  const { output, report } = record(false);
  const failing = report.step('Backup', async () => expect(false, 'DONE', 'FAILED'));
  await assert.rejects(failing, (error: Error) => error instanceof Unexpected && error.came === 'FAILED');
  assert.equal(output.text, '[1/2] Backup\n');
  assert.equal(report.current(), '1/2 Backup');
});

test('the median of an even count lies between the middle two', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([9, 1, 5]), 5);
});
