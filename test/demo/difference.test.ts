import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodSpec } from '../../api/kube.ts';
import { renderDifference } from './difference.ts';

const BEFORE: PodSpec = {
  initContainers: [{ name: 'bootstrap-controller' }],
  containers: [{ name: 'postgres', volumeMounts: [{ name: 'pgdata', mountPath: '/data' }] }],
  volumes: [{ name: 'pgdata', emptyDir: {} }],
};

test('a patch that changes nothing is shown as nothing', () => {
  assert.equal(renderDifference(BEFORE, structuredClone(BEFORE)), '');
});

test('the added container, mounts and volumes are shown, and nothing else', () => {
  const after = structuredClone(BEFORE);
  after.initContainers?.push({
    name: 'plugin',
    image: 'sidecar:1',
    args: ['instance', '--log-level=info'],
    env: [
      { name: 'A', value: '1' },
      { name: 'B', value: '2' },
    ],
    volumeMounts: [{ name: 'plugins', mountPath: '/plugins' }],
  });
  after.containers[0]?.volumeMounts?.push({ name: 'plugins', mountPath: '/plugins' });
  after.volumes?.push({ name: 'plugins', emptyDir: {} });
  assert.deepEqual(renderDifference(BEFORE, after).split('\n'), [
    '+ initContainers: plugin',
    '+   image         sidecar:1',
    '+   args          instance --log-level=info',
    '+   env           A B',
    '+   mount         plugins:/plugins',
    '+ containers: postgres: mount plugins:/plugins',
    '+ volumes: plugins (emptyDir)',
  ]);
});
