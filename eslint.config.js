// Style that a machine can check: import direction and cycles, floating promises, lengths.
import js from '@eslint/js';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import importX from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/** Folders that know nothing of each other: the roles, what puts them on one machine, and how good they are. */
const ROLES = ['autoscale', 'dedupe', 'evaluation', 'functions', 'gateway', 'indexer', 'ingest', 'k8s', 'local'];

/** Imports point one way: `common/` imports no sibling; a role imports only `common/`. */
const directions = [
  { target: './common', from: [...ROLES.map((role) => `./${role}`), './start.ts', './cli.ts'], message: 'common/ imports no sibling.' },
  ...ROLES.map((role) => ({
    target: `./${role}`,
    from: [...ROLES.filter((other) => other !== role).map((other) => `./${other}`), './start.ts', './cli.ts'],
    message: 'Roles do not import each other: they talk over HTTP and queues in the shapes of common/wire.ts.',
  })),
];

export default tseslint.config(
  // Besides what is built: compose/ is rendered, mongosh's scripts among it.
  { ignores: ['dist/', 'functions/dist/', 'node_modules/', 'data/', 'coverage/', 'compose/'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    files: ['**/*.ts'],
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { project: ['./tsconfig.test.json', './tsconfig.page.json'], tsconfigRootDir: import.meta.dirname } },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver({ project: './tsconfig.test.json' })] },
    rules: {
      'import-x/no-cycle': 'error',
      'import-x/no-restricted-paths': ['error', { zones: directions }],
      'import-x/no-default-export': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/require-await': 'off',
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 4],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  // Domain code imports no framework.
  {
    files: ['dedupe/*.ts', 'evaluation/*.ts', 'functions/image.ts', 'functions/phash.ts', 'gateway/merge.ts', 'gateway/traffic.ts', 'gateway/fan-out.ts', 'indexer/*-index.ts', 'indexer/vector-index.ts', 'indexer/top-k.ts', 'indexer/follower.ts', 'ingest/extract.ts', 'common/vector.ts', 'common/slots.ts', 'k8s/plan.ts', 'k8s/meaning.ts', 'k8s/costs.ts', 'k8s/changes.ts', 'k8s/phases.ts', 'autoscale/decide.ts', 'autoscale/target.ts'],
    ignores: ['evaluation/mlflow-client.ts'],
    rules: { 'no-restricted-imports': ['error', { paths: ['fastify', 'undici', 'lmdb', 'mongodb', 'amqplib', 'node:fs', 'node:http'], patterns: ['@fastify/*', '@google-cloud/*'] }] },
  },
  { files: ['cli.ts', 'start.ts', 'cli/**/*.ts', 'local/**/*.ts', 'common/lifecycle.ts'], rules: { 'no-console': 'off' } },
  { files: ['test/**/*.ts'], rules: { 'max-lines-per-function': 'off', 'max-params': 'off', 'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }], 'no-console': 'off', '@typescript-eslint/no-non-null-assertion': 'off' } },
  { files: ['vitest.config.ts'], rules: { 'import-x/no-default-export': 'off' } },
  { files: ['**/*.{js,mjs}'], ...tseslint.configs.disableTypeChecked, languageOptions: { globals: { console: 'readonly', process: 'readonly', URL: 'readonly', fetch: 'readonly', AbortSignal: 'readonly' } } },
  // The page's scripts are checked by tsconfig.page.json, which knows a browser's names.
  { files: ['gateway/public/**/*.js'], rules: { 'no-undef': 'off', 'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }] } },
);
