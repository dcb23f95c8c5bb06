// PostgreSQL's archive_command and restore_command, done by the process of the tests: the server's own user may not run
// the tools of barman, nor enter the folder of the person who has installed them.
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Account } from '../../unprivileged.ts';

export type WalWork = {
  /** Stores a file. */
  archive(path: string): Promise<void>;
  /** Writes a file; false when the archive has none of that name. */
  fetch(name: string, destination: string): Promise<boolean>;
};

export type Errands = {
  /** Stands in for `/controller/manager`: `wal-archive … PATH`, `wal-restore … NAME PATH`. */
  manager: string;
  /** What went wrong, apart from files that are not in the archive. PostgreSQL is told no more than that it failed. */
  failures: unknown[];
  stop(): Promise<void>;
};

const PAUSE_MS = 20;

/** Puts the program into `folder` and does what is asked through it until `stop`. */
export async function runErrands(folder: string, account: Account, work: WalWork): Promise<Errands> {
  const asked = join(folder, 'errands');
  const manager = join(folder, 'manager');
  await mkdir(asked, { recursive: true });
  await writeFile(manager, script(asked));
  await chmod(manager, 0o755);
  await account.own(folder);
  const failures: unknown[] = [];
  const stop = new AbortController();
  const running = serve(asked, stop.signal, async (words) => {
    try {
      return (await runErrand(words, work, account)) ? 0 : 1;
    } catch (error) {
      failures.push(error);
      return 1;
    }
  });
  return {
    manager,
    failures,
    async stop() {
      stop.abort();
      await running;
      await rm(asked, { recursive: true, force: true });
    },
  };
}

/** The command, its working directory first, goes into a file; the answer is a file too. Nobody listening ends it. */
function script(asked: string): string {
  return `#!/bin/sh
errand='${asked}'/$$
printf '%s\\n' "$PWD" "$@" >"$errand.new" && mv "$errand.new" "$errand.asked"
until [ -e "$errand.status" ]; do
  [ -d '${asked}' ] || exit 1
  sleep 0.03
done
status=$(cat "$errand.status")
rm -f "$errand.status"
exit "$status"
`;
}

async function serve(asked: string, signal: AbortSignal, run: (words: string[]) => Promise<number>): Promise<void> {
  const started = new Set<Promise<void>>();
  while (!signal.aborted) {
    for (const name of await readdir(asked)) {
      if (!name.endsWith('.asked')) continue;
      const path = join(asked, name);
      const words = (await readFile(path, 'utf8')).trimEnd().split('\n');
      await rm(path);
      const errand = run(words)
        .then((status) => answer(path.replace(/\.asked$/, '.status'), status))
        .finally(() => started.delete(errand));
      started.add(errand);
    }
    await delay(PAUSE_MS);
  }
  await Promise.all(started);
}

async function answer(path: string, status: number): Promise<void> {
  await writeFile(`${path}.new`, String(status));
  await chmod(`${path}.new`, 0o666);
  await rename(`${path}.new`, path);
}

async function runErrand([folder = '', ...words]: string[], work: WalWork, account: Account): Promise<boolean> {
  const path = resolve(folder, words.at(-1) ?? '');
  if (words[0] === 'wal-archive') {
    await work.archive(path);
    return true;
  }
  if (words[0] !== 'wal-restore') throw new Error(`unknown command ${words[0]}`);
  const found = await work.fetch(words.at(-2) ?? '', path);
  if (found) await account.own(path);
  return found;
}
