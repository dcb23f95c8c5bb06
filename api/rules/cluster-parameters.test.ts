import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pluginMeant } from './cluster-parameters.ts';

for (const name of [
  'wal-replica.cloudnative-pg.io',
  'hello-world.cloudnative-pg.io',
  'backup.cloudnative-pg.io',
  'cnpg-i-scale-to-zero.xata.io',
  'pgbackrest.dalibo.com',
  'barman-cloud.cloudnative-pg.io',
]) {
  test(`${name} is meant as it is written`, () => assert.equal(pluginMeant(name), false));
}

for (const name of [
  'barman',
  'barman-cloud',
  'plugin-barman-cloud',
  'plugin-barman-cloud.cloudnative-pg.io',
  'barman-cloud.cnpg.io',
  'barmancloud.cloudnative-pg.io',
  'barman-clod.cloudnative-pg.io',
  'barman-cloud.cloudnative-pg.io.',
]) {
  test(`${name} is a slip of the pen`, () => assert.equal(pluginMeant(name), true));
}
