// Certificates change under running calls, as cert-manager changes them: files first, Secrets a moment later, or the other
// way round (cnpg-i-contract.md §2.1, §2.2, problem 10).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  OperatorLifecycleService,
  OperatorOperationType_Type as Verb,
} from '../../api/proto/gen/operator_lifecycle.ts';
import { startKubeApi } from '../kube-api.ts';
import { type Deployed, discover } from './discovery.ts';
import { createPool, type Pool } from './pool.ts';
import { makeClientPair, makeServerPair, OPERATOR_NAMESPACE, secretOf, startOperatorProcess } from './process.ts';
import { CLUSTER, POD, STORE } from './valid-documents.ts';

const CALLS = 60;

test('files rotate while calls run: none is dropped, the old and the new client get in, and strangers never do', async (t) => {
  const kubeApi = await startKubeApi({ namespace: 'shop' });
  t.after(() => kubeApi.stop());
  await kubeApi.apply({ ...STORE });
  const operator = await startOperatorProcess({ kubeApi });
  t.after(() => operator.stop());
  const pools: Pool[] = [];
  t.after(() => {
    for (const pool of pools) pool.close();
  });
  const register = (deployed: Deployed): Pool => {
    const [plugin] = discover(deployed, OPERATOR_NAMESPACE).plugins.values();
    assert.ok(plugin);
    const pool = createPool(plugin, () => operator.address, [1, 1, 1, 1]);
    pools.push(pool);
    return pool;
  };
  const { services, secrets } = operator.deployed;
  const [oldServer, oldClient] = secrets;
  assert.ok(oldServer && oldClient);

  const before = register(operator.deployed);
  const steady = callSteadily(before, CALLS);
  const [nextServer, nextClient] = [await makeServerPair(), await makeClientPair()];
  await operator.writeCertificates({ server: nextServer });
  // The operator has heard of the new server certificate, not of the new client's.
  const between = register({ services, secrets: [secretOf('server', nextServer), oldClient] });
  await hook(between);
  await operator.writeCertificates({ client: nextClient });
  await hook(register({ services, secrets: [secretOf('server', nextServer), oldClient] }));
  await hook(register({ services, secrets: [secretOf('server', nextServer), secretOf('client', nextClient)] }));
  assert.equal(await steady, CALLS, 'the connections from before go on');

  const stranger = secretOf('client', await makeClientPair());
  await assert.rejects(
    hook(register({ services, secrets: [secretOf('server', nextServer), stranger] })),
    /UNAVAILABLE/,
  );
  await assert.rejects(hook(register({ services, secrets: [oldServer, oldClient] })), /UNAVAILABLE/);
});

/** Resolves to the number of calls that were answered; one after the other over one connection. */
async function callSteadily(pool: Pool, count: number): Promise<number> {
  let answered = 0;
  while (answered < count) {
    await hook(pool);
    answered += 1;
  }
  return answered;
}

async function hook(pool: Pool): Promise<void> {
  const { connection, giveBack } = await pool.take();
  const json = (document: object) => Buffer.from(JSON.stringify(document));
  const { jsonPatch } = await connection.call(OperatorLifecycleService.lifecycleHook, {
    operationType: { type: Verb.TYPE_EVALUATE },
    clusterDefinition: json(CLUSTER),
    objectDefinition: json(POD),
  });
  assert.ok(jsonPatch.length > 0);
  giveBack();
}
