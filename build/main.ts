// `npm run build`: what the image holds, into dist/ or the folder that is named. `--cpu arm64` builds for another machine,
// whose native packages must be installed (`npm ci --cpu arm64 --os linux --libc glibc`).
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildImageFiles } from './image-files.ts';

const options = { cpu: { type: 'string', default: process.arch } } as const;
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const root = dirname(import.meta.dirname);
const folder = resolve(positionals[0] ?? `${root}/dist`);
const sizes = await buildImageFiles(root, folder, { os: 'linux', cpu: values.cpu });
for (const [name, sizeBytes] of sizes) process.stdout.write(`${name} ${(sizeBytes / 1024 / 1024).toFixed(1)} MiB\n`);
