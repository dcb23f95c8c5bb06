// What the demo can be asked for on its command line.
import { parseArgs } from 'node:util';
import { POSTGRES_MAJORS } from '../postgres.ts';

export type DemoOptions = {
  keep: boolean;
  /** Undefined: the newest that is installed. */
  postgresMajor: number | undefined;
  /** Undefined: an S3 server of the demo's own. */
  s3: { url: string; accessKeyId: string; secretAccessKey: string } | undefined;
};

export const USAGE = `usage: npm run demo -- [--keep] [--postgres ${POSTGRES_MAJORS.join('|')}] [--s3 URL]

  --keep         leave everything running after the last step, until Ctrl-C, and print how to reach each part
  --postgres N   another major version of PostgreSQL than the newest
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
      s3: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  return { keep: values.keep, postgresMajor: readMajor(values.postgres), s3: readS3(values.s3, env) };
}

function readMajor(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const major = POSTGRES_MAJORS.find((candidate) => String(candidate) === text);
  if (major === undefined) throw new Error(`--postgres: found ${text}: use one of ${POSTGRES_MAJORS.join(', ')}`);
  return major;
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
