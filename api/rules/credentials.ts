// How a store logs in: which provider, by which method (rules B1 to B11, C3).
import type { Draft, DraftConfiguration, DraftSelector } from './draft.ts';
import { type Finding, MISSING } from './rule.ts';
import { joinNames, showName } from './show.ts';
import { isSubdomain } from './subdomain.ts';

const CONFIGURATION = 'spec.configuration';
const S3 = `${CONFIGURATION}.s3Credentials`;
const AZURE = `${CONFIGURATION}.azureCredentials`;
const GOOGLE = `${CONFIGURATION}.googleCredentials`;

const PROVIDERS = ['s3Credentials', 'azureCredentials', 'googleCredentials'] as const;

export type ProviderBlock = (typeof PROVIDERS)[number];

/** The provider blocks that are written, also empty ones. */
export function providerBlocks(configuration: DraftConfiguration): ProviderBlock[] {
  return PROVIDERS.filter((block) => configuration[block] !== undefined);
}

/** The provider when it is clear which one it is. */
export function onlyProvider(configuration: DraftConfiguration): ProviderBlock | undefined {
  const [first, ...others] = providerBlocks(configuration);
  return others.length === 0 ? first : undefined;
}

export function noProvider({ configuration }: Draft): Finding[] {
  if (providerBlocks(configuration).length > 0) return [];
  return [{ path: CONFIGURATION, found: 'no credentials', advice: `choose exactly one of ${PROVIDERS.join(', ')}` }];
}

export function severalProviders({ configuration }: Draft): Finding[] {
  const blocks = providerBlocks(configuration);
  if (blocks.length < 2) return [];
  return [{ path: CONFIGURATION, found: joinNames(blocks), advice: 'only one provider block is allowed; keep one' }];
}

export function halfOfS3Keys({ configuration }: Draft): Finding[] {
  const s3 = configuration.s3Credentials;
  const written = s3Keys(configuration);
  if (s3 === undefined || s3.inheritFromIAMRole === true || written.length !== 1) return [];
  const other = written[0] === 'accessKeyId' ? 'secretAccessKey' : 'accessKeyId';
  return [{ path: S3, found: `only ${written[0]}`, advice: `both keys are needed; add ${other}` }];
}

export function noS3Login({ configuration }: Draft): Finding[] {
  const s3 = configuration.s3Credentials;
  if (s3 === undefined || s3.inheritFromIAMRole === true || s3Keys(configuration).length > 0) return [];
  return [
    {
      path: S3,
      found: 'no keys',
      advice: 'give both accessKeyId and secretAccessKey, or set inheritFromIAMRole: true',
    },
  ];
}

export function s3KeysAndRole({ configuration }: Draft): Finding[] {
  const written = s3Keys(configuration);
  if (configuration.s3Credentials?.inheritFromIAMRole !== true || written.length === 0) return [];
  const found = `inheritFromIAMRole with ${joinNames(written)}`;
  return [{ path: S3, found, advice: 'the keys would not be used; remove them, or the flag' }];
}

export function ignoredWithRole({ configuration }: Draft): Finding[] {
  const s3 = configuration.s3Credentials;
  if (s3?.inheritFromIAMRole !== true) return [];
  const advice = {
    region: 'ignored with inheritFromIAMRole; set AWS_DEFAULT_REGION in instanceSidecarConfiguration.env',
    sessionToken: 'ignored with inheritFromIAMRole; remove it',
  };
  return (['region', 'sessionToken'] as const)
    .filter((field) => s3[field] !== undefined)
    .map((field) => ({ path: `${S3}.${field}`, found: 'a selector', advice: advice[field] }));
}

function s3Keys({ s3Credentials: s3 }: DraftConfiguration): string[] {
  return (['accessKeyId', 'secretAccessKey'] as const).filter((key) => s3?.[key] !== undefined);
}

const AZURE_METHODS = ['storageKey', 'storageSasToken', 'inheritFromAzureAD', 'useDefaultAzureCredentials'] as const;

export function azureLogins({ configuration }: Draft): Finding[] {
  const azure = configuration.azureCredentials;
  if (azure === undefined || azure.connectionString !== undefined) return [];
  const methods = azureMethods(configuration);
  if (methods.length === 1) return [];
  const found = methods.length === 0 ? 'no login method' : joinNames(methods);
  const advice = `pick exactly one Azure login method: connectionString, ${joinNames(AZURE_METHODS, 'or')}`;
  return [{ path: AZURE, found, advice }];
}

export function azureConnectionStringWithOthers({ configuration }: Draft): Finding[] {
  const azure = configuration.azureCredentials;
  if (azure?.connectionString === undefined) return [];
  const others = [...(azure.storageAccount === undefined ? [] : ['storageAccount']), ...azureMethods(configuration)];
  if (others.length === 0) return [];
  const found = `connectionString with ${joinNames(others)}`;
  return [{ path: AZURE, found, advice: `connectionString must stand alone; remove ${joinNames(others)}, or itself` }];
}

export function azureAccountMissing({ configuration }: Draft): Finding[] {
  const azure = configuration.azureCredentials;
  if (azure === undefined || azure.connectionString !== undefined || azure.storageAccount !== undefined) return [];
  const needing = (['storageKey', 'storageSasToken'] as const).filter((field) => azure[field] !== undefined);
  if (needing.length === 0) return [];
  const advice = `storageAccount is required with ${joinNames(needing)}`;
  return [{ path: `${AZURE}.storageAccount`, found: MISSING, advice, offending: needing }];
}

function azureMethods({ azureCredentials: azure }: DraftConfiguration): string[] {
  return AZURE_METHODS.filter((method) => azure?.[method] !== undefined && azure[method] !== false);
}

export function noGoogleLogin({ configuration }: Draft): Finding[] {
  const google = configuration.googleCredentials;
  if (google === undefined || google.applicationCredentials !== undefined || google.gkeEnvironment === true) return [];
  return [
    { path: GOOGLE, found: 'no login method', advice: 'give applicationCredentials, or set gkeEnvironment: true' },
  ];
}

export function bothGoogleLogins({ configuration }: Draft): Finding[] {
  const google = configuration.googleCredentials;
  if (google?.applicationCredentials === undefined || google.gkeEnvironment !== true) return [];
  const found = 'applicationCredentials with gkeEnvironment';
  return [{ path: GOOGLE, found, advice: 'the flag would be ignored; keep only one' }];
}

export function selectorNames({ configuration }: Draft): Finding[] {
  return selectorsOf(configuration).flatMap(({ path, selector: { name, key } }) => [
    ...(name === undefined || isSubdomain(name) ? [] : [badName(`${path}.name`, name)]),
    ...(key === '' ? [{ path: `${path}.key`, found: '""', advice: 'name the key in the Secret' }] : []),
  ]);
}

function badName(path: string, name: string): Finding {
  const rule = 'must be the name of a Secret: lower-case letters, digits, - and .';
  return { path, found: showName(name), offending: name, advice: rule };
}

/** All selectors that are written, by path. */
export function selectorsOf(configuration: DraftConfiguration): { path: string; selector: DraftSelector }[] {
  const blocks = [
    { path: CONFIGURATION, fields: { endpointCA: configuration.endpointCA } },
    ...PROVIDERS.map((block) => ({ path: `${CONFIGURATION}.${block}`, fields: configuration[block] ?? {} })),
  ];
  return blocks.flatMap(({ path, fields }) =>
    Object.entries(fields).flatMap(([field, selector]) =>
      typeof selector === 'object' ? [{ path: `${path}.${field}`, selector }] : [],
    ),
  );
}
