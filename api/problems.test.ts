import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OBJECTSTORE_SPEC_SCHEMA } from './objectstore-schema.ts';
import { findProblems, type Operation, type Problem, sentenceOf } from './problems.ts';
import type { Schema } from './schema.ts';

const secret = (key: string) => ({ name: 'minio', key });
const KEYS = { accessKeyId: secret('ACCESS_KEY_ID'), secretAccessKey: secret('ACCESS_SECRET_KEY') };

/** A store of the given spec parts on top of one that has no problem at all. */
function store(configuration: object = {}, spec: object = {}, metadata: object = {}): object {
  return {
    apiVersion: 'barmancloud.cnpg.io/v1',
    kind: 'ObjectStore',
    metadata: { name: 'minio-store', namespace: 'default', ...metadata },
    spec: {
      configuration: { destinationPath: 's3://backups/', s3Credentials: KEYS, ...configuration },
      retentionPolicy: '30d',
      ...spec,
    },
  };
}

const sidecar = (block: object) => store({}, { instanceSidecarConfiguration: block });
const azure = (azureCredentials: object, configuration: object = {}) =>
  store({
    s3Credentials: undefined,
    destinationPath: 'https://account.blob.core.windows.net/container',
    azureCredentials,
    ...configuration,
  });
const google = (googleCredentials: object, configuration: object = {}) =>
  store({ s3Credentials: undefined, destinationPath: 'gs://bucket', googleCredentials, ...configuration });

function create(subject: unknown): Problem[] {
  return findProblems(subject, { operation: 'CREATE' });
}

function told(problems: Problem[]): string[] {
  return problems.map((problem) => `${problem.id} ${problem.severity} ${sentenceOf(problem)}`);
}

const C = 'spec.configuration';
const SC = 'spec.instanceSidecarConfiguration';
const ENUM_WAL = 'use one of bzip2, gzip, lz4, snappy, xz, zstd';
const RETENTION = 'use a positive number followed by d, w or m (days, weeks, months)';

/** Title, document, what is told about it. Each rule has a fixture besides, in test/fixtures/admission/. */
const CASES: [title: string, subject: unknown, told: string[]][] = [
  [
    'no spec',
    { metadata: {} },
    [`A1 error spec: missing: set the bucket URL in ${C}.destinationPath, for example s3://bucket/prefix`],
  ],
  [
    'no configuration (the unfinished example of the usage page)',
    { metadata: {}, spec: { configuration: null, retentionPolicy: '1d' } },
    [`A1 error ${C}: missing: set the bucket URL in ${C}.destinationPath, for example s3://bucket/prefix`],
  ],
  [
    'an empty destination',
    store({ destinationPath: '' }),
    [`A1 error ${C}.destinationPath: found "": set the bucket URL, for example s3://bucket/prefix`],
  ],
  [
    'a server name',
    store({ serverName: 'other' }),
    [
      `A2 error ${C}.serverName: found "other": use the 'serverName' plugin parameter in the Cluster resource; remove it here`,
    ],
  ],
  [
    'a misspelt compression',
    store({ wal: { compression: 'gzp' } }),
    [`A3 error ${C}.wal.compression: found "gzp": did you mean gzip? ${ENUM_WAL}`],
  ],
  [
    'an empty compression',
    store({ wal: { compression: '' } }),
    [`A3 error ${C}.wal.compression: found "": ${ENUM_WAL}, or remove the key for the default`],
  ],
  [
    'compression none',
    store({ wal: { compression: 'none' } }),
    [`A3 error ${C}.wal.compression: found "none": remove the key for none, or ${ENUM_WAL}`],
  ],
  [
    'zstd for base backups',
    store({ data: { compression: 'zstd' } }),
    [`A3 error ${C}.data.compression: found "zstd": use one of bzip2, gzip, lz4, snappy`],
  ],
  [
    'an unknown log level',
    sidecar({ logLevel: 'warn' }),
    [`A3 error ${SC}.logLevel: found "warn": did you mean warning? use one of error, warning, info, debug, trace`],
  ],
  [
    'no parallelism',
    store({ wal: { maxParallel: 0 } }),
    [`A4 error ${C}.wal.maxParallel: found 0: must be a whole number of at least 1`],
  ],
  [
    'a quoted number and one too large',
    store({ wal: { maxParallel: '8' }, data: { jobs: 3_000_000_000 } }),
    [
      `A4 error ${C}.data.jobs: found 3000000000: must be a whole number of at least 1 and at most 2147483647`,
      `A4 error ${C}.wal.maxParallel: found "8": must be a whole number of at least 1; write 8 without quotes`,
    ],
  ],
  [
    'a retention in words',
    store({}, { retentionPolicy: '30 days' }),
    [`A5 error spec.retentionPolicy: found "30 days": did you mean 30d? ${RETENTION}`],
  ],
  [
    'an empty retention',
    store({}, { retentionPolicy: '' }),
    [`A5 error spec.retentionPolicy: found "": ${RETENTION}, or remove the key to keep everything`],
  ],
  [
    'a log level among the arguments',
    sidecar({ additionalContainerArgs: ['--a', '--log-level=debug'] }),
    [
      `A6 error ${SC}.additionalContainerArgs: found "--log-level=debug": do not set --log-level in additionalContainerArgs; use ${SC}.logLevel`,
    ],
  ],
  [
    'half a selector',
    store({ s3Credentials: { ...KEYS, region: { name: 'minio' } } }),
    [`A7 error ${C}.s3Credentials.region.key: missing: both name and key of the Secret are required`],
  ],
  [
    'a secret instead of a selector',
    store({ s3Credentials: { ...KEYS, secretAccessKey: 'wJalrXUtnFEMI' } }),
    [
      `A7 error ${C}.s3Credentials.secretAccessKey: found a string: name a Secret by name and key; never write the value itself here`,
    ],
  ],
  [
    'quantities as the usage page leaves them',
    sidecar({ resources: { requests: { memory: 'XXX' } } }),
    [`A8 error ${SC}.resources.requests[memory]: found "XXX": must be a quantity such as 500m, 512Mi or 1Gi`],
  ],
  [
    'a fraction without quotes',
    sidecar({ resources: { limits: { cpu: 0.5 } } }),
    [`A8 error ${SC}.resources.limits[cpu]: found 0.5: must be a quantity; write "0.5" in quotes`],
  ],
  [
    'a flag in quotes',
    store({ s3Credentials: { inheritFromIAMRole: 'true' } }),
    [`A8 error ${C}.s3Credentials.inheritFromIAMRole: found a string: must be true or false, without quotes`],
  ],
  [
    'a variable without name, a claim twice',
    sidecar({ env: [{ value: 'x' }], resources: { claims: [{ name: 'a' }, { name: 'a' }] } }),
    [
      `A8 error ${SC}.env[0].name: missing: a value is required`,
      `B23 error ${SC}.resources.claims: found 2 claims: the Pods of CloudNativePG have no resource claims; remove the list`,
      `A8 error ${SC}.resources.claims[1].name: found "a": is there twice; remove one`,
    ],
  ],
  [
    'no provider',
    store({ s3Credentials: undefined }),
    [`B1 error ${C}: found no credentials: choose exactly one of s3Credentials, azureCredentials, googleCredentials`],
  ],
  [
    'two providers',
    store({ googleCredentials: { gkeEnvironment: true } }),
    [`B2 error ${C}: found s3Credentials and googleCredentials: only one provider block is allowed; keep one`],
  ],
  [
    'one key',
    store({ s3Credentials: { accessKeyId: secret('A') } }),
    [`B3 error ${C}.s3Credentials: found only accessKeyId: both keys are needed; add secretAccessKey`],
  ],
  [
    'no key',
    store({ s3Credentials: {} }),
    [
      `B4 error ${C}.s3Credentials: found no keys: give both accessKeyId and secretAccessKey, or set inheritFromIAMRole: true`,
    ],
  ],
  [
    'keys and role',
    store({ s3Credentials: { ...KEYS, inheritFromIAMRole: true } }),
    [
      `B5 error ${C}.s3Credentials: found inheritFromIAMRole with accessKeyId and secretAccessKey: the keys would not be used; remove them, or the flag`,
    ],
  ],
  [
    'a region with the role',
    store({ s3Credentials: { inheritFromIAMRole: true, region: secret('r') } }),
    [
      `B6 warning ${C}.s3Credentials.region: found a selector: ignored with inheritFromIAMRole; set AWS_DEFAULT_REGION in instanceSidecarConfiguration.env`,
    ],
  ],
  [
    'an Azure account and nothing else',
    azure({ storageAccount: secret('a') }),
    [
      `B7 error ${C}.azureCredentials: found no login method: pick exactly one Azure login method: connectionString, storageKey, storageSasToken, inheritFromAzureAD or useDefaultAzureCredentials`,
    ],
  ],
  [
    'all Azure methods (the example of the documentation)',
    azure({ connectionString: secret('c'), storageAccount: secret('a'), storageKey: secret('k') }),
    [
      `B8 error ${C}.azureCredentials: found connectionString with storageAccount and storageKey: connectionString must stand alone; remove storageAccount and storageKey, or itself`,
    ],
  ],
  [
    'an Azure key without account',
    azure({ storageKey: secret('k') }),
    [`B9 error ${C}.azureCredentials.storageAccount: missing: storageAccount is required with storageKey`],
  ],
  [
    'an empty Google block',
    google({}),
    [
      `B10 error ${C}.googleCredentials: found no login method: give applicationCredentials, or set gkeEnvironment: true`,
    ],
  ],
  [
    'both Google logins',
    google({ gkeEnvironment: true, applicationCredentials: secret('j') }),
    [
      `B11 error ${C}.googleCredentials: found applicationCredentials with gkeEnvironment: the flag would be ignored; keep only one`,
    ],
  ],
  [
    'a bucket without scheme',
    store({ destinationPath: 'backups/pg' }),
    [
      `B12 error ${C}.destinationPath: found "backups/pg": did you mean s3://backups/pg? destinationPath must look like s3://BUCKET[/PREFIX] for S3`,
    ],
  ],
  [
    'a bucket of Google for S3',
    store({ destinationPath: 'gs://backups' }),
    [
      `B12 error ${C}.destinationPath: found "gs://backups": did you mean s3://backups? destinationPath must look like s3://BUCKET[/PREFIX] for S3`,
    ],
  ],
  [
    'an Azure emulator without connection string',
    azure({ inheritFromAzureAD: true }, { destinationPath: 'http://azurite:10000/account/container' }),
    [
      `B13 error ${C}.destinationPath: found "http://azurite:10000/account/container": emulated and sovereign endpoints need a connection string: set azureCredentials.connectionString`,
    ],
  ],
  [
    'an Azure emulator without container',
    azure({ connectionString: secret('c') }, { destinationPath: 'http://azurite:10000/account' }),
    [
      `B13 error ${C}.destinationPath: found "http://azurite:10000/account": outside blob.core.windows.net it must look like http://HOST:PORT/ACCOUNT/CONTAINER[/PREFIX]`,
    ],
  ],
  [
    'a CA with Google',
    google({ gkeEnvironment: true }, { endpointCA: secret('ca') }),
    [`B15 warning ${C}.endpointCA: found a selector: ignored for Google Cloud Storage; remove it`],
  ],
  [
    'encryption outside S3',
    google({ gkeEnvironment: true }, { data: { encryption: 'AES256' } }),
    [`B16 warning ${C}.data.encryption: found "AES256": only used with S3; remove it`],
  ],
  [
    'option and value in one item',
    store({ data: { additionalCommandArgs: ['--read-timeout 60', '--header=a b'] } }),
    [`B17 error ${C}.data.additionalCommandArgs[0]: found "--read-timeout 60": write "--read-timeout=60" as one item`],
  ],
  [
    'spaces around an option, which make it no option',
    store({ data: { additionalCommandArgs: ['--verbose ', ' --read-timeout=60', ' -e AES256'] } }),
    [
      `B17 error ${C}.data.additionalCommandArgs[0]: found "--verbose ": write "--verbose" as one item`,
      `B17 error ${C}.data.additionalCommandArgs[1]: found " --read-timeout=60": write "--read-timeout=60" as one item`,
      `B17 error ${C}.data.additionalCommandArgs[2]: found " -e AES256": write "-e=AES256" as one item`,
    ],
  ],
  [
    'options that their tool does not take, the first of each list',
    store({
      data: { additionalCommandArgs: ['-vv', '--min-chunk-sise=5MB', '--bogus'] },
      wal: { archiveAdditionalCommandArgs: ['--read-timeout=soon'], restoreAdditionalCommandArgs: ['--version'] },
    }),
    [
      `B17 warning ${C}.data.additionalCommandArgs[1]: found "--min-chunk-sise=5MB": this option is not known: remove it, or write --option=value`,
      `B17 warning ${C}.wal.archiveAdditionalCommandArgs[0]: found "soon": write a whole number from 1 on`,
      `B17 warning ${C}.wal.restoreAdditionalCommandArgs[0]: found "--version": remove it: with it the tool does nothing`,
    ],
  ],
  [
    'option and value as two items',
    store({ data: { additionalCommandArgs: ['--max-bandwidth', '60'] } }),
    [
      `B18 warning ${C}.data.additionalCommandArgs[1]: found "60": a repeated bare value is dropped; use the --option=value form`,
    ],
  ],
  [
    'options of the plugin',
    store({ data: { additionalCommandArgs: ['--jobs=4', '-vv', '--min-chunk-size=5MB'] } }),
    [`B19 warning ${C}.data.additionalCommandArgs[0]: found "--jobs=4": already managed by the plugin: use data.jobs`],
  ],
  [
    'an interval of nothing',
    sidecar({ retentionPolicyIntervalSeconds: 0 }),
    [`B20 error ${SC}.retentionPolicyIntervalSeconds: found 0: must be at least 1 (60 or more recommended)`],
  ],
  [
    'eleven tags',
    store({ tags: Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`t${index}`, 'v'])) }),
    [`B21 error ${C}.tags: found 11 tags: at most 10 tags`],
  ],
  [
    'a comma in a tag',
    store({ historyTags: { team: 'a,b' } }),
    [`B22 warning ${C}.historyTags[team]: found "a,b": avoid commas and quotes in tags`],
  ],
  [
    'variables that no Pod can have',
    sidecar({
      env: [{ name: 'A=B' }, { name: '9A' }, { name: 'V', value: 'hidden', valueFrom: { secretKeyRef: { key: 'k' } } }],
    }),
    [
      `B23 error ${SC}.env[0].name: found "A=B": not a name for a variable: use letters, digits, -, _ and ., not beginning with a digit`,
      `B23 warning ${SC}.env[1].name: found "9A": Kubernetes below 1.32 refuses it; use letters, digits, -, _ and ., not beginning with a digit`,
      `B23 error ${SC}.env[2].valueFrom: found value with valueFrom: may not be specified together; keep one`,
      `B23 error ${SC}.env[2].valueFrom.secretKeyRef.name: found no name: a name is required`,
    ],
  ],
  [
    'a request above its limit, a negative one',
    sidecar({ resources: { requests: { memory: '1Gi', cpu: '-1' }, limits: { memory: '1000Mi' } } }),
    [
      `B23 error ${SC}.resources.requests[cpu]: found "-1": must be greater than or equal to 0`,
      `B23 error ${SC}.resources.requests[memory]: found "1Gi": must be less than or equal to the memory limit of 1000Mi`,
    ],
  ],
  [
    'an endpoint without scheme',
    store({ endpointURL: 'minio:9000' }),
    [
      `C1 error ${C}.endpointURL: found "minio:9000": did you mean https://minio:9000 or http://minio:9000? not a valid endpoint URL: write http(s)://HOST[:PORT], without user, password and query`,
    ],
  ],
  [
    'an endpoint with a password',
    store({ endpointURL: 'https://user:hidden@minio/?token=hidden' }),
    [
      `C1 error ${C}.endpointURL: found "https://…@minio/?…": not a valid endpoint URL: write http(s)://HOST[:PORT], without user, password and query`,
    ],
  ],
  [
    'a CA over http',
    store({ endpointURL: 'http://minio:9000', endpointCA: secret('ca') }),
    [`C2 warning ${C}.endpointCA: found a selector: the CA is unused over http; use https, or remove it`],
  ],
  [
    'selectors that name nothing',
    store({ s3Credentials: { accessKeyId: { name: 'AKIAIOSFODNN7EXAMPLE', key: '' }, secretAccessKey: secret('k') } }),
    [
      `C3 error ${C}.s3Credentials.accessKeyId.key: found "": name the key in the Secret`,
      `C3 error ${C}.s3Credentials.accessKeyId.name: found a string of 20 characters: must be the name of a Secret: lower-case letters, digits, - and .`,
    ],
  ],
  [
    'a variable of the plugin',
    sidecar({ env: [{ name: 'PGDATA', value: '/' }] }),
    [`C4 warning ${SC}.env[0].name: found "PGDATA": this variable cannot be overridden; remove it`],
  ],
  [
    'a variable twice, a secret in plain text',
    sidecar({ env: [{ name: 'AWS_SECRET_ACCESS_KEY', value: 'hidden' }, { name: 'X' }, { name: 'X' }] }),
    [
      `C5 warning ${SC}.env[0].value: found a literal value of AWS_SECRET_ACCESS_KEY: use credentials or valueFrom`,
      `C5 warning ${SC}.env[2].name: found "X": defined twice; the first definition counts`,
    ],
  ],
  [
    'high parallelism',
    store({ wal: { maxParallel: 33 } }),
    [`C11 warning ${C}.wal.maxParallel: found 33: high parallelism fills the scratch volume; use 32 or less`],
  ],
  [
    'no retention',
    store({}, { retentionPolicy: undefined }),
    ['F4 warning spec.retentionPolicy: missing: nothing is ever deleted; set for example 30d'],
  ],
  [
    "a Cluster's annotation",
    store({}, {}, { annotations: { 'cnpg.io/skipEmptyWalArchiveCheck': 'enabled' } }),
    [
      'F7 warning metadata.annotations[cnpg.io/skipEmptyWalArchiveCheck]: found "enabled": ignored here; set it on the Cluster',
    ],
  ],
  [
    'path style by variable',
    sidecar({ env: [{ name: 'AWS_S3_FORCE_PATH_STYLE', value: 'true' }] }),
    [`F9 warning ${SC}.env[0].name: found "AWS_S3_FORCE_PATH_STYLE": not known; path style is automatic; remove it`],
  ],
];

for (const [title, subject, expected] of CASES) {
  test(`tells of ${title}`, () => assert.deepEqual(told(create(subject)), expected));
}

const HARMLESS: [title: string, subject: unknown][] = [
  ['a plain store', store()],
  ['a empty server name', store({ serverName: '' })],
  ['nulls where nothing is meant', store({ wal: null, serverName: null, s3Credentials: { ...KEYS, region: null } })],
  ['fields that the API server prunes', store({ wal: { compresion: 'gzip' }, later: [1] }, { other: true })],
  ['an empty endpoint, as templates write it', store({ endpointURL: '' })],
  ['buckets with and without a slash', store({ destinationPath: 's3://bucket' })],
  ['an upper-case scheme', store({ destinationPath: 'S3://bucket//a/' })],
  [
    "Google's console",
    google({ gkeEnvironment: true }, { destinationPath: 'https://console.cloud.google.com/storage/browser/b/p' }),
  ],
  ['an Azure key', azure({ storageAccount: secret('a'), storageKey: secret('k') })],
  [
    'an Azure cloud elsewhere',
    azure({ connectionString: secret('c') }, { destinationPath: 'https://a.blob.core.chinacloudapi.cn/c' }),
  ],
  [
    'what the survey saw in variables, arguments and resources',
    store(
      {
        wal: { maxParallel: 8, compression: 'bzip2' },
        data: { additionalCommandArgs: ['--min-chunk-size=5MB', '-vv'] },
      },
      {
        instanceSidecarConfiguration: {
          env: [
            { name: 'AWS_REQUEST_CHECKSUM_CALCULATION', value: 'when_required' },
            { name: 'AWS_ENDPOINT_URL', valueFrom: { secretKeyRef: { name: 'r2', key: 'url' } } },
          ],
          resources: { requests: { cpu: '0.5', memory: '512Mi' }, limits: { cpu: 1, memory: '536870912' } },
          retentionPolicyIntervalSeconds: 60,
        },
      },
    ),
  ],
];

for (const [title, subject] of HARMLESS) {
  test(`says nothing about ${title}`, () => assert.deepEqual(told(create(subject)), []));
}

test('tells everything at once, sorted by path', () => {
  const problems = create(
    store(
      { wal: { compression: 'gzp' }, s3Credentials: { accessKeyId: secret('a') }, endpointURL: 'x y' },
      { retentionPolicy: 'x' },
    ),
  );
  assert.deepEqual(
    problems.map(({ id, path }) => `${id} ${path}`),
    [`C1 ${C}.endpointURL`, `B3 ${C}.s3Credentials`, `A3 ${C}.wal.compression`, 'A5 spec.retentionPolicy'],
  );
});

test('a log level that nobody has written does not change with the block around it', () => {
  const completed = sidecar({ logLevel: 'info', resources: { limits: { memory: '1Gi' } } });
  assert.deepEqual(told(findProblems(completed, { operation: 'UPDATE', old: store() })), []);
  assert.deepEqual(told(findProblems(store(), { operation: 'UPDATE', old: completed })), []);
});

test('warns of a changed log level or argument, because nothing restarts', () => {
  const old = sidecar({ logLevel: 'info', additionalContainerArgs: ['--a'] });
  const problems = findProblems(sidecar({ logLevel: 'debug' }), { operation: 'UPDATE', old });
  assert.deepEqual(told(problems), [
    `C6 warning ${SC}.additionalContainerArgs: found a change: takes effect when the Pods are next recreated`,
    `C6 warning ${SC}.logLevel: found a change from "info" to "debug": takes effect when the Pods are next recreated`,
  ]);
  assert.deepEqual(told(findProblems(sidecar({}), { operation: 'UPDATE', old: sidecar({ logLevel: 'info' }) })), []);
});

test('an update that leaves a stored flaw alone passes with a warning', () => {
  const flawed = { endpointURL: 'minio:9000', data: { additionalCommandArgs: ['--x', '--a 1'] } };
  const moved = { ...flawed, data: { additionalCommandArgs: ['--a 1', '--x'] } };
  const problems = findProblems(store(moved), { operation: 'UPDATE', old: store(flawed) });
  assert.deepEqual(
    problems.map(({ id, severity }) => `${id} ${severity}`),
    ['B17 warning', 'C1 warning'],
  );
});

test('an update that makes a flaw, or another one, is refused', () => {
  const severities = (before: object, after: object) =>
    findProblems(store(after), { operation: 'UPDATE', old: store(before) }).map(
      ({ id, severity }) => `${id} ${severity}`,
    );
  assert.deepEqual(severities({}, { endpointURL: 'a b' }), ['C1 error']);
  assert.deepEqual(severities({ endpointURL: 'a b' }, { endpointURL: 'b c' }), ['C1 error']);
  assert.deepEqual(severities({ wal: { compression: 'gzp' } }, { wal: { compression: 'gzp' } }), ['A3 error']);
});

test('a policy taken away is told once', () => {
  const without = store({}, { retentionPolicy: undefined });
  assert.deepEqual(told(findProblems(without, { operation: 'UPDATE', old: without })), []);
  assert.equal(findProblems(without, { operation: 'UPDATE', old: store() }).length, 1);
});

test('long values are shortened and stay on one line', () => {
  const [problem] = create(store({ destinationPath: `x\n${'y'.repeat(500)}` }));
  assert.equal(problem?.found, `"x\\n${'y'.repeat(57)}…"`);
});

test('takes any JSON value, never throws, and changes nothing', () => {
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.record({ spec: documentLike(OBJECTSTORE_SPEC_SCHEMA), metadata: fc.jsonValue() }),
  );
  const operation = fc.constantFrom<Operation>('CREATE', 'UPDATE');
  fc.assert(
    fc.property(anything, anything, operation, (subject, old, given) => {
      const before = JSON.stringify(subject);
      const problems = findProblems(subject, { operation: given, old });
      assert.equal(JSON.stringify(subject), before);
      for (const { path, message } of problems) {
        assert.ok(path.length > 0 && !/[\n\r]/.test(path + message), 'one line each');
      }
    }),
    { numRuns: 2000 },
  );
});

test('never shows what stands in the place of a secret', () => {
  const hidden = 'hidden-hidden-hidden';
  const planted = documentLike(
    OBJECTSTORE_SPEC_SCHEMA.properties?.configuration?.properties?.s3Credentials ?? {},
    hidden,
  );
  fc.assert(
    fc.property(planted, (s3Credentials) => {
      const problems = create(
        store({ s3Credentials, endpointCA: hidden }, { instanceSidecarConfiguration: { env: hidden } }),
      );
      assert.ok(!JSON.stringify(problems).includes(hidden));
    }),
    { numRuns: 300 },
  );
});

test('is not upset by documents of great depth or size', () => {
  const deep = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
  assert.equal(create(store({ destinationPath: deep, wal: deep, tags: { a: deep } })).length, 3);
  const wide = Array.from({ length: 20_000 }, (_, index) => ({ name: `V${index % 10_000}` }));
  assert.equal(create(sidecar({ env: wide })).length, 10_000);
});

/** Documents along the schema, with other values than it wants here and there. */
function documentLike(schema: Schema, planted?: string): fc.Arbitrary<unknown> {
  const other = planted === undefined ? fc.jsonValue({ maxDepth: 2 }) : fc.constant(planted);
  const fitting = fittingValue(schema, planted);
  return fc.oneof({ arbitrary: fitting, weight: 5 }, { arbitrary: other, weight: 1 });
}

function fittingValue(schema: Schema, planted?: string): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum, '');
  if (schema.properties !== undefined) {
    const fields = Object.entries(schema.properties).map(([key, value]) => [key, documentLike(value, planted)]);
    return fc.record(Object.fromEntries(fields), { requiredKeys: [] });
  }
  if (schema.additionalProperties !== undefined) {
    return fc.dictionary(fc.string(), documentLike(schema.additionalProperties, planted), { maxKeys: 3 });
  }
  if (schema.items !== undefined) return fc.array(documentLike(schema.items, planted), { maxLength: 3 });
  if (schema.type === 'boolean') return fc.boolean();
  if (schema.type === 'integer') return fc.integer();
  return fc.constantFrom('', 's3://a', 'http://a', '--a b', '1Gi', 'name');
}
