// The port that the rooms above use: one place in one store, opened.
import type { ObjectStore } from '../../api/objectstore.ts';
import type { StoreReference } from '../../api/parameters.ts';
import type { ServerKeys } from './keys.ts';
import type { ObjectStorage } from './store.ts';

/** One server's place in one store. Open it anew for each piece of work: settings and secrets change. */
export type Archive = {
  objectStore: ObjectStore;
  serverName: string;
  storage: ObjectStorage;
  keys: ServerKeys;
  /** For messages: store, destination and server; no secrets. */
  location: string;
};

export type Archives = {
  /**
   * Opens the place that a reference names. Cheap: the store's adapter is shared as long as nothing changed. Throws
   * PreconditionError when the ObjectStore, a Secret or a key of it is missing, InvalidInputError for a bad field.
   */
  open(reference: StoreReference): Promise<Archive>;
};
