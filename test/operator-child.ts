// The operator process as a child of a test, with everything that it has logged.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

export type Line = { msg?: string; address?: unknown; port?: unknown; url?: unknown };

export type OperatorChild = {
  process: ChildProcess;
  output: string;
  /** Exit status and signal. */
  ended: Promise<unknown[]>;
  /** Everything logged until the message appears. */
  linesUntil(message: string): Promise<Line[]>;
};

const ENTRY = join(dirname(import.meta.dirname), 'main.ts');

/** Starts it; it is killed when the test ends. */
export function startOperatorChild(t: TestContext, args: string[], env: Record<string, string>): OperatorChild {
  const process_ = spawn(process.execPath, [ENTRY, 'operator', ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => process_.kill('SIGKILL'));
  const child: OperatorChild = {
    process: process_,
    output: '',
    ended: once(process_, 'close'),
    async linesUntil(message) {
      for (;;) {
        const texts = child.output.split('\n').slice(0, -1);
        const lines = texts.map((text): Line => {
          if (!text.startsWith('{')) throw new Error(`the process said: ${text}`);
          return JSON.parse(text);
        });
        if (lines.some(({ msg }) => msg === message)) return lines;
        await delay(10);
      }
    },
  };
  process_.stderr.on('data', (chunk) => {
    child.output += chunk;
  });
  return child;
}
