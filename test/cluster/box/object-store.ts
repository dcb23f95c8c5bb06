// The S3 server of a cluster in a box: VersityGW, which keeps objects as files.
import { mkdirSync } from 'node:fs';
import type { LocalProcess } from '../../process.ts';
import { startChild } from '../child.ts';
import { tool } from '../tools.ts';
import { net, ports, s3 } from './addresses.ts';
import { inState } from './place.ts';

/** Starts it with its bucket, which is a folder. */
export function startObjectStore(): Promise<LocalProcess> {
  const root = inState('s3');
  mkdirSync(inState('s3', s3.bucket), { recursive: true });
  const keys = ['--access', s3.accessKey, '--secret', s3.secretKey, '--region', s3.region];
  return startChild({
    ...{ name: 's3', program: tool('versitygw'), args: ['--port', `${net.s3}:${ports.s3}`, ...keys, 'posix', root] },
    ...{ logFile: inState('logs', 's3.log'), folder: inState() },
  });
}
