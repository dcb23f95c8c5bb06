// What the admission door may ask about other objects, answered from the live copies.
import type { Feed, FeedObject } from './feed.ts';

type Copy = Pick<Feed<FeedObject>, 'isLive' | 'all' | 'onChange'>;

export type LiveLookUps = {
  clusters(): Promise<readonly FeedObject[]>;
  objectStores(): Promise<readonly FeedObject[]>;
};

/** Throws while a copy is not live: an object that is missing in half a copy may well exist. */
export function liveLookUps(live: { stores: Copy; clusters: Copy }): LiveLookUps {
  return { clusters: listOf('clusters', live.clusters), objectStores: listOf('objectstores', live.stores) };
}

/** The same list as long as nothing has changed: whoever asks hangs an index on it. */
function listOf(plural: string, copy: Copy): () => Promise<readonly FeedObject[]> {
  let list: readonly FeedObject[] | undefined;
  copy.onChange(() => {
    list = undefined;
  });
  return async () => {
    if (!copy.isLive()) throw new Error(`${plural} are not all known`);
    list ??= copy.all();
    return list;
  };
}
