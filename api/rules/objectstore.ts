// The table of rules for ObjectStores (objectstore-and-injection.md §2.1 to §2.3; F rules: field-use.md, the table of
// mistakes, by row; C12 is ours). Rules that look at other objects see a snapshot.
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK } from '../names.ts';
import { LOG_LEVEL_FORBIDDEN, SERVER_NAME_FORBIDDEN } from '../objectstore-schema.ts';
import { bareValues, managedOptions, wrongArguments } from './arguments.ts';
import * as login from './credentials.ts';
import * as place from './destination.ts';
import type { Draft } from './draft.ts';
import { doubtfulVariables, pathStyleVariable, reservedVariables, variableForms } from './environment.ts';
import { tightMemory } from './memory.ts';
import type { Finding, Operation, Reason, Rule, RuleContext, Severity } from './rule.ts';
import type { SchemaRuleId } from './schema-findings.ts';
import { missingSecrets } from './secrets.ts';
import { show } from './show.ts';
import { changedArguments, logLevelArgument, maintenanceInterval, resourceAmounts } from './sidecar-settings.ts';
import * as users from './store-users.ts';
import { doubtfulTags, manyTags, noRetention, parallelism } from './volume.ts';

const SIDECAR = 'spec.instanceSidecarConfiguration';
const S3 = 'spec.configuration.s3Credentials';
const AZURE = 'spec.configuration.azureCredentials';
const GOOGLE = 'spec.configuration.googleCredentials';
const PLACE = 'spec.configuration.{destinationPath,endpointURL}';
const ARGUMENTS = 'spec.configuration.{data,wal}.…AdditionalCommandArgs[i]';

export const OBJECTSTORE_RULES: readonly Rule<Draft>[] = [
  schemaRule('A1', 'spec.configuration.destinationPath', 'the bucket URL is there'),
  rule('A2', 'E', 'spec.configuration.serverName', SERVER_NAME_FORBIDDEN, serverName, 'FieldValueForbidden'),
  schemaRule('A3', 'compression, encryption, logLevel', 'one of the allowed words', 'FieldValueNotSupported'),
  schemaRule('A4', 'spec.configuration.wal.maxParallel, spec.configuration.data.jobs', 'a whole number of at least 1'),
  schemaRule('A5', 'spec.retentionPolicy', 'a positive number followed by d, w or m'),
  rule('A6', 'E', `${SIDECAR}.additionalContainerArgs`, LOG_LEVEL_FORBIDDEN, logLevelArgument, 'FieldValueForbidden'),
  schemaRule('A7', 'every selector', 'names a Secret by name and key'),
  schemaRule('A8', `${SIDECAR}.env, ${SIDECAR}.resources`, 'as Kubernetes defines them; every value of its type'),

  rule('B1', 'E*', 'spec.configuration', 'a provider block is there', login.noProvider),
  rule('B2', 'E*', 'spec.configuration', 'only one provider block', login.severalProviders),
  rule('B3', 'E*', S3, 'both keys, or none', login.halfOfS3Keys),
  rule('B4', 'E*', S3, 'both keys, or inheritFromIAMRole', login.noS3Login),
  rule('B5', 'E*', S3, 'no keys with inheritFromIAMRole', login.s3KeysAndRole),
  rule('B6', 'W', `${S3}.{region,sessionToken}`, 'ignored with inheritFromIAMRole', login.ignoredWithRole),
  rule('B7', 'E*', AZURE, 'exactly one login method', login.azureLogins),
  rule('B8', 'E*', AZURE, 'connectionString stands alone', login.azureConnectionStringWithOthers),
  rule('B9', 'E*', `${AZURE}.storageAccount`, 'goes with storageKey and storageSasToken', login.azureAccountMissing),
  rule('B10', 'E*', GOOGLE, 'applicationCredentials, or gkeEnvironment', login.noGoogleLogin),
  rule('B11', 'E*', GOOGLE, 'not both applicationCredentials and gkeEnvironment', login.bothGoogleLogins),
  rule('B12', 'E*', 'spec.configuration.destinationPath', 'a URL of the provider', place.destinationForm),
  rule(
    'B13',
    'E*',
    'spec.configuration.destinationPath',
    'Azure hosts outside blob.core.windows.net need a connection string',
    place.azureEmulator,
  ),
  rule('B14', 'W', 'every selector', 'the Secret has the key; only with `webhook.lookUpSecrets`', missingSecrets),
  rule('B15', 'W', 'spec.configuration.endpointCA', 'ignored for Google', place.authorityWithGoogle),
  rule('B16', 'W', 'spec.configuration.{wal,data}.encryption', 'only used with S3', place.encryptionOutsideS3),
  rule('B17', 'E*', ARGUMENTS, 'option and value are --option=value, one item', wrongArguments),
  rule('B18', 'W', ARGUMENTS, 'no bare values', bareValues),
  rule('B19', 'W', ARGUMENTS, 'no option that the plugin sets itself', managedOptions),
  rule('B20', 'E*', `${SIDECAR}.retentionPolicyIntervalSeconds`, 'at least 1', maintenanceInterval),
  rule('B21', 'E*', 'spec.configuration.tags', 'at most 10 tags', manyTags),
  rule('B22', 'W', 'spec.configuration.{tags,historyTags}', 'no commas and quotes', doubtfulTags),
  rule(
    'B23',
    'E*',
    `${SIDECAR}.env[i], ${SIDECAR}.resources`,
    'what a Pod can be made of: names, one source for each variable, requests within limits, no claims',
    (draft) => [...variableForms(draft), ...resourceAmounts(draft)],
  ),

  rule('C1', 'E*', 'spec.configuration.endpointURL', 'http(s), without user, password, query', place.endpointForm),
  rule('C2', 'W', 'spec.configuration.endpointCA', 'unused over http', place.authorityOverHttp),
  rule('C3', 'E*', 'every selector', 'name is the name of a Secret, key is not empty', login.selectorNames),
  rule('C4', 'W', `${SIDECAR}.env[i].name`, 'not one of the variables that always lose', reservedVariables),
  rule('C5', 'W', `${SIDECAR}.env[i]`, 'defined once, no secret in plain text', doubtfulVariables),
  {
    ...rule('C6', 'W', `${SIDECAR}.{logLevel,additionalContainerArgs}`, 'a change restarts nothing', changedArguments),
    operations: ['UPDATE'],
  },
  {
    ...rule('C7', 'W', PLACE, 'a change leaves the backups of Clusters behind', users.movedStore),
    operations: ['UPDATE'],
  },
  {
    ...rule('C8', 'E*', PLACE, 'a change does not bring two Clusters together', users.collidingMove),
    operations: ['UPDATE'],
  },
  { ...rule('C9', 'W', 'metadata.name', 'no Cluster uses the store', users.deletedInUse), operations: ['DELETE'] },
  rule('C10', 'W', 'spec.retentionPolicy', 'applies to every server in a shared store', users.sharedRetention),
  rule('C11', 'W', 'spec.configuration.wal.maxParallel', 'at most 32', parallelism),
  rule('C12', 'W', `${SIDECAR}.resources.limits[memory]`, 'enough for the parallelism configured', tightMemory),

  rule('F4', 'W', 'spec.retentionPolicy', 'set, or nothing is ever deleted', noRetention),
  rule('F7', 'W', 'metadata.annotations', 'skipEmptyWalArchiveCheck belongs on the Cluster', strayAnnotation),
  rule('F9', 'W', `${SIDECAR}.env[i].name`, 'not AWS_S3_FORCE_PATH_STYLE', pathStyleVariable),
];

type Check = (draft: Draft, context: RuleContext<Draft>) => Finding[];

function rule(
  id: string,
  severity: Severity,
  path: string,
  demand: string,
  check: Check,
  reason: Reason = 'FieldValueInvalid',
): Rule<Draft> {
  const operations: Operation[] = ['CREATE', 'UPDATE'];
  return { id, severity, operations, path, demand, reason, check };
}

/** One search through the schema serves all rules of group A. */
function schemaRule(id: SchemaRuleId, path: string, demand: string, reason?: Reason): Rule<Draft> {
  return rule(id, 'E', path, demand, ({ violations }) => violations.filter((found) => found.id === id), reason);
}

function serverName({ configuration, violations }: Draft): Finding[] {
  const wrongType = violations.filter(({ id }) => id === 'A2');
  if (!configuration.serverName) return wrongType;
  const path = 'spec.configuration.serverName';
  return [{ path, found: show(configuration.serverName), advice: `${SERVER_NAME_FORBIDDEN}; remove it here` }];
}

function strayAnnotation({ annotations }: Draft): Finding[] {
  if (!Object.hasOwn(annotations, ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK)) return [];
  const path = `metadata.annotations[${ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK}]`;
  return [
    {
      path,
      found: show(annotations[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK]),
      advice: 'ignored here; set it on the Cluster',
    },
  ];
}
