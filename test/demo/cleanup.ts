// What has to be undone, newest first, once, whatever happens.

export type Cleanup = {
  /** Remembers how to undo something that was just done; undoes it at once when everything else has been undone. */
  add(undo: () => Promise<unknown>): void;
  /** Undoes everything; a failure does not keep the rest from being undone. Repeated calls wait for the first. */
  run(): Promise<void>;
};

export function createCleanup(): Cleanup {
  const undos: (() => Promise<unknown>)[] = [];
  let running: Promise<void> | undefined;
  return {
    add(undo) {
      undos.push(undo);
      if (running !== undefined) running = running.then(() => undoAll(undos));
    },
    run() {
      running ??= undoAll(undos);
      return running;
    },
  };
}

async function undoAll(undos: (() => Promise<unknown>)[]): Promise<void> {
  for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
    await undo().catch((error: unknown) =>
      console.error('cleaning up:', error instanceof Error ? error.message : error),
    );
  }
}
