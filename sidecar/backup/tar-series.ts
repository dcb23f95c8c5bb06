// One tree as one tar, or as several when it grows past the limit: `data.tar`, `data_0001.tar`, … (object-store-layout.md
// §5.1, §5.5). Splits happen between entries only, and each tar is complete in itself.

import type { TarWriter } from './tar.ts';
import { openTarObject, type StoredTar, type TarObject, type TarTarget } from './tar-object.ts';

export type TarSeries = {
  /** Adds one entry, in a new tar when the current one is beyond the limit. */
  add<T>(entry: (tar: TarWriter) => Promise<T>): Promise<T>;
  /** Ends the last tar; returns all of them once the store has confirmed each. */
  finish(): Promise<StoredTar[]>;
  /** Gives up the tar that is open. Never throws. */
  abandon(error: Error): Promise<void>;
};

/** Starts the first tar. */
export function openTarSeries(target: TarTarget, keyOf: (part: number) => string, maxArchiveBytes: number): TarSeries {
  const stored: StoredTar[] = [];
  let part = 0;
  let current: TarObject = openTarObject(target, keyOf(part));
  return {
    add: async (entry) => {
      if (current.sentBytes() > maxArchiveBytes) {
        stored.push(await current.finish());
        part++;
        current = openTarObject(target, keyOf(part));
      }
      return current.add(entry);
    },
    finish: async () => {
      stored.push(await current.finish());
      return stored;
    },
    abandon: (error) => current.abandon(error),
  };
}
