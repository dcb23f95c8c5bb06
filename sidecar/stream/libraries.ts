// The native libraries of the codecs. Each is loaded at its first use, because together they cost 18 MiB that most
// sidecars never need; whether they are there at all is asked once at start (`codecs` of main.ts).
import { messageOf, PreconditionError } from '../../api/errors.ts';

const LOADERS = {
  lz4: { library: 'lz4-napi', load: () => import('lz4-napi') },
  snappy: { library: 'snappy', load: () => import('snappy') },
  'CRC-32C of snappy': { library: '@node-rs/crc32', load: () => import('@node-rs/crc32') },
  xz: { library: 'lzma-native', load: () => import('lzma-native') },
} as const;

type Name = keyof typeof LOADERS;
type Library<N extends Name> = Awaited<ReturnType<(typeof LOADERS)[N]['load']>>;

const loaded = new Map<Name, Promise<unknown>>();

/** A codec's library. Throws PreconditionError naming codec, library and platform when it does not load. */
export async function codecLibrary<N extends Name>(name: N): Promise<Library<N>> {
  let loading = loaded.get(name);
  if (loading === undefined) {
    loading = LOADERS[name].load();
    loaded.set(name, loading);
  }
  try {
    return (await loading) as Library<N>;
  } catch (error) {
    throw missing(name, LOADERS[name].library, error);
  }
}

/** Loads every library; throws the PreconditionError of the first that is not there. */
export async function loadCodecLibraries(): Promise<void> {
  for (const name of Object.keys(LOADERS) as Name[]) await codecLibrary(name);
}

function missing(name: string, library: string, error: unknown): PreconditionError {
  const platform = `${process.platform}-${process.arch}`;
  const message = `the codec ${name} cannot be used: ${library} does not load on ${platform}: ${messageOf(error)}`;
  return new PreconditionError(message, { cause: error, hint: 'install the package for this platform' });
}
