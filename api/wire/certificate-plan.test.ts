import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endOf, pacesOf, planAuthorities, signerOf, whyRenew } from './certificate-plan.ts';
import { issue, type KeyPair, makeAuthority, makeSelfSigned } from './certificates.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LIVES = { durationMs: 90 * DAY_MS, renewBeforeMs: 15 * DAY_MS };
const PACES = pacesOf(LIVES);
/** Certificates count whole seconds. */
const NOW = Date.UTC(2026, 10, 25);

const old = await authorityMade(NOW - 180 * DAY_MS);
const fresh = await authorityMade(NOW);

test('an authority has a successor for longer than what it signs may live', () => {
  assert.equal(PACES.authorityValidMs, 270 * DAY_MS);
  assert.ok(PACES.authorityRenewBeforeMs > LIVES.durationMs + PACES.settleMs);
  assert.deepEqual([PACES.settleMs, PACES.lookMs], [600_000, 60_000]);
  const short = pacesOf({ durationMs: 20_000, renewBeforeMs: 10_000 });
  assert.deepEqual([short.settleMs, short.lookMs], [2_500, 500]);
});

test('a new authority is due when there is none, or when the newest ends within one and a half certificate lives', () => {
  assert.deepEqual(planAuthorities([], PACES, NOW), { trusted: [], newOneDue: true });
  assert.deepEqual(planAuthorities([old], PACES, NOW), { trusted: [old], newOneDue: true });
  assert.deepEqual(planAuthorities([fresh, old], PACES, NOW), { trusted: [old, fresh], newOneDue: false });
});

test('authorities are trusted until they end, and never when they are none or have lost their key', async () => {
  assert.deepEqual(planAuthorities([old, fresh], PACES, endOf(old.cert)).trusted, [fresh]);
  const leaf = await makeSelfSigned({ commonName: 'x', usages: ['server'], validMs: HOUR_MS, at: NOW });
  const broken = { cert: fresh.cert, key: old.key };
  assert.deepEqual(planAuthorities([leaf, broken, { cert: 'no', key: 'no' }], PACES, NOW).trusted, []);
});

test('a new authority signs only after all have had the time to learn of it', () => {
  assert.equal(signerOf([old, fresh], LIVES, PACES, NOW + PACES.settleMs - 1), old);
  assert.equal(signerOf([old, fresh], LIVES, PACES, NOW + PACES.settleMs), fresh);
  assert.equal(signerOf([fresh], LIVES, PACES, NOW), fresh, 'the first of all has nobody before it');
  assert.equal(signerOf([old, fresh], LIVES, PACES, endOf(old.cert) - LIVES.renewBeforeMs), fresh);
});

test('a certificate is made anew for a reason, and never without', async () => {
  const dnsNames = ['barman-cloud', 'barman-cloud.cnpg-system.svc'];
  const request = {
    commonName: 'barman-cloud',
    dnsNames,
    usages: ['server' as const],
    validMs: LIVES.durationMs,
    at: NOW,
  };
  const leaf = await issue(fresh, request);
  const wish = { signer: fresh, trusted: [old, fresh], dnsNames };
  const reason = (pair: KeyPair | undefined, changed: Partial<typeof wish> = {}, now = NOW) =>
    whyRenew(pair, { ...wish, ...changed }, LIVES, now);
  assert.equal(reason(leaf), undefined);
  assert.equal(reason(leaf, {}, NOW + 75 * DAY_MS), undefined);
  assert.equal(reason(leaf, {}, NOW + 75 * DAY_MS + 1000), 'its end is near');
  assert.equal(reason(undefined), 'there is none');
  assert.equal(reason({ cert: leaf.cert, key: fresh.key }), 'it is not usable');
  assert.equal(reason({ cert: '', key: '' }), 'it is not usable');
  assert.equal(reason(leaf, { trusted: [old] }), 'it is not of our authority');
  assert.equal(reason(await makeSelfSigned(request)), 'it is not of our authority');
  assert.equal(reason(leaf, { dnsNames: [...dnsNames, 'other'] }), 'it does not name other');
  assert.equal(reason(await issue(old, request)), 'another authority signs now');
});

/** All of one name: only the signature tells them apart. */
function authorityMade(at: number): Promise<KeyPair> {
  return makeAuthority({ commonName: 'cellar', validMs: PACES.authorityValidMs, at });
}
