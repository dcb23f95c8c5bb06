// npm leaves optional platform packages out of the lock file when the registry at hand does not carry them, and `npm ci`
// then refuses the lock. Run after `npm install`: adds an entry, bound to its platform, for each that is missing, so that
// it is known and skipped everywhere else.
import { readFileSync, writeFileSync } from 'node:fs';

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const PLATFORM =
  /(android|darwin|freebsd|linux|openbsd|sunos|win32)-(arm64|armv7|arm|ia32|ppc64|riscv64|s390x|x64)(?:-(musl|gnu|msvc))?/;

for (const [path, owner] of Object.entries(lock.packages)) {
  if (path === '') continue;
  for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`;
    const [, os, cpu, libc] = PLATFORM.exec(name) ?? [];
    if (lock.packages[place] !== undefined || os === undefined) continue;
    lock.packages[place] = {
      version,
      cpu: [cpu === 'armv7' ? 'arm' : cpu],
      ...(owner.dev ? { dev: true } : {}),
      ...(libc === 'musl' ? { libc: ['musl'] } : {}),
      license: owner.license,
      optional: true,
      os: [os],
    };
    console.log(`added ${name} ${version}`);
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
lock.packages = Object.fromEntries(sorted);
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
