// What the demo can be asked for on its command line.
import { parseArgs } from 'node:util';
import { POSTGRES_MAJORS } from '../postgres.ts';
import { findFakeGcs } from '../servers/fake-gcs.ts';

export const STORES = ['s3', 'azure', 'gcs'] as const;

export type DemoOptions = {
  keep: boolean;
  /** Undefined: the newest that is installed. */
  postgresMajor: number | undefined;
  /** Which kind of server the demo starts. */
  store: (typeof STORES)[number];
  /** Undefined: a server of the demo's own. */
  s3: { url: string; accessKeyId: string; secretAccessKey: string } | undefined;
};

export const USAGE = `usage: npm run demo -- [--keep] [--postgres ${POSTGRES_MAJORS.join('|')}] [--store ${STORES.join('|')} | --s3 URL]

  --keep         leave everything running after the last step, until Ctrl-C, and print how to reach each part
  --postgres N   another major version of PostgreSQL than the newest
  --store KIND   s3 (s3rver), azure (Azurite) or gcs (fake-gcs-server, which must be on the PATH or in CELLAR_FAKE_GCS)
  --s3 URL       another S3 server than s3rver; keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY;
                 buckets named cellar-demo-… are made there and removed at the end
`;

/** Reads the arguments; throws an Error with a sentence for the user. \`help\` when the usage was asked for. */
export function readOptions(args: readonly string[], env: Record<string, string | undefined>): DemoOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keep: { type: 'boolean', default: false },
      postgres: { type: 'string' },
      store: { type: 'string' },
      s3: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  if (values.store !== undefined && values.s3 !== undefined) throw new Error('--store and --s3: use one of them');
  return {
    keep: values.keep,
    postgresMajor: readMajor(values.postgres),
    store: readStore(values.store),
    s3: readS3(values.s3, env),
  };
}

function readMajor(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const major = POSTGRES_MAJORS.find((candidate) => String(candidate) === text);
  if (major === undefined) throw new Error(`--postgres: found ${text}: use one of ${POSTGRES_MAJORS.join(', ')}`);
  return major;
}

function readStore(text: string | undefined): DemoOptions['store'] {
  const store = STORES.find((candidate) => candidate === (text ?? 's3'));
  if (store === undefined) throw new Error(`--store: found ${text}: use one of ${STORES.join(', ')}`);
  if (store === 'gcs' && findFakeGcs() === undefined) {
    throw new Error('--store gcs needs fake-gcs-server on the PATH, or its program in CELLAR_FAKE_GCS');
  }
  return store;
}

function readS3(url: string | undefined, env: Record<string, string | undefined>): DemoOptions['s3'] {
  if (url === undefined) return undefined;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Error(`--s3: found ${url}: use the endpoint's address, for example http://127.0.0.1:9000`);
  }
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (!accessKeyId || !secretAccessKey) {
    throw new Error('--s3 needs the keys of that server in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
  }
  return { url, accessKeyId, secretAccessKey };
}
