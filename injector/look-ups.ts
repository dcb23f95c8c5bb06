// What the admission door may ask about other objects, answered from the live copies.
import { isDeepStrictEqual } from 'node:util';
import type { Change, Feed, FeedObject } from './feed.ts';

/** What tells a change of the status from one that a rule may look at. */
type Watched = FeedObject & {
  metadata: { generation?: number; annotations?: unknown; labels?: unknown; deletionTimestamp?: unknown };
};

type Copy = Pick<Feed<Watched>, 'isLive' | 'all' | 'onChange'>;

export type LiveLookUps = {
  clusters(): Promise<readonly FeedObject[]>;
  objectStores(): Promise<readonly FeedObject[]>;
};

/** Throws while a copy is not live: an object that is missing in half a copy may well exist. */
export function liveLookUps(live: { stores: Copy; clusters: Copy }): LiveLookUps {
  return { clusters: listOf('clusters', live.clusters), objectStores: listOf('objectstores', live.stores) };
}

/**
 * The same list as long as no spec has changed: whoever asks hangs an index on it, which takes a tenth of a second to make of
 * 10,000 Clusters, whose status changes all the time.
 */
function listOf(plural: string, copy: Copy): () => Promise<readonly FeedObject[]> {
  let list: Watched[] | undefined;
  let places = new Map<string, number>();
  copy.onChange((change) => {
    if (list === undefined) return;
    const place = places.get(keyOf(change.object));
    if (place === undefined || !isOfStatus(change)) list = undefined;
    else list[place] = change.object;
  });
  return async () => {
    if (!copy.isLive()) throw new Error(`${plural} are not all known`);
    if (list === undefined) {
      list = [...copy.all()];
      places = new Map(list.map((object, place) => [keyOf(object), place]));
    }
    return list;
  };
}

/** The API server counts the generation up with every change of the spec, and only then. */
function isOfStatus({ object, was, removed }: Change<Watched>): boolean {
  if (removed || was === undefined) return false;
  const [now, before] = [object, was].map(({ metadata }) => {
    const { generation, annotations, labels, deletionTimestamp } = metadata;
    return { generation, annotations, labels, deletionTimestamp };
  });
  return now?.generation !== undefined && isDeepStrictEqual(now, before);
}

function keyOf({ metadata }: FeedObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}
