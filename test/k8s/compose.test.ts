import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig, parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { packagePath, packageVersion } from '../../common/package-root.js';
import { COMPOSE_FILE, renderCompose } from '../../k8s/compose/render.js';
import type { ComposeService } from '../../k8s/compose/service.js';
import type { Files } from '../../k8s/folder.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';
import { manifestsOf, seedText } from './support/deployments.js';
import { findComposeProblems } from './support/compose-schema.js';

interface Project {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, object>>;
}

const FOLDER = '/srv/eis';
const render = (text: string): Files => renderCompose({ config: parseConfig(text, join(FOLDER, 'config.json')), version: '1.2.3', folder: FOLDER });
const projectOf = (files: Files): Project => parse(files.get(COMPOSE_FILE)!) as Project;
const namesOf = ({ services }: Project): string[] => Object.entries(services).flatMap(([name, { networks }]) => [name, ...(networks?.default.aliases ?? [])]);

const MODELS_HERE = JSON.stringify({ models: [{ name: 'a_folder', model_url: './models/mine' }, { name: 'a_json', model_url: '../other/model.json', preprocess: '[0,1]' }, { name: 'keras', model_url: '/opt/net.h5' }, { name: 'far', model_url: 'https://example.com/model.json' }] });
const VARIANTS: Readonly<Record<string, string>> = {
  'the shipped configuration': readFileSync(packagePath('config.json'), 'utf8'),
  'the seed configuration': seedText(),
  'models of this machine': MODELS_HERE,
  'a registry': JSON.stringify({ models: [{ name: 'builtin' }], platform: { image_registry: 'registry.example.com/team' } }),
  'variables of every process': JSON.stringify({ models: [{ name: 'builtin' }], platform: { environment: { LOG_LEVEL: 'debug', EIS_TOP_MAX: 50 } } }),
  'traces, and what a cluster scales': JSON.stringify({ models: [{ name: 'builtin' }], services: [{ name: 'extract_worker', models: [{ name: 'builtin', pods: { min: 1, max: 4 } }] }], platform: { autoscaling: 'keda', tracing: { endpoint: 'https://collector.example.com:4318' } } }),
};

describe.each(Object.entries(VARIANTS))('docker-compose.yml of %s', (_name, text) => {
  const files = render(text);
  const project = projectOf(files);
  const services = Object.entries(project.services);

  it('is one, by the published schema, and the same every time', () => {
    expect(findComposeProblems(project)).toEqual([]);
    expect([...render(text)]).toEqual([...files]);
  });

  it('runs images of a version, as nobody in particular, with nothing but volumes to write to, and within bounds', () => {
    for (const [name, service] of services) {
      expect(service.image, name).toMatch(/:v?\d[\w.]*$/);
      expect(service, name).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'], cpus: expect.any(Number) as number, mem_limit: expect.stringMatching(/^\d+[mg]$/) as string });
    }
  });

  it('opens ports on this machine alone', () => {
    expect(services.flatMap(([, { ports = [] }]) => ports).every((port) => port.startsWith('127.0.0.1:'))).toBe(true);
    expect(services.filter(([, { ports }]) => ports).map(([name]) => name).sort()).toEqual(['grafana', 'nginx', 'prometheus']);
  });

  it('waits for what there is, and for health only where it is asked', () => {
    for (const [name, { depends_on: dependencies = {} }] of services) {
      for (const [other, { condition }] of Object.entries(dependencies)) {
        expect(project.services, `${name} waits for ${other}`).toHaveProperty(other);
        if (condition === 'service_healthy') expect(project.services[other]!.healthcheck, other).toBeDefined();
        if (condition === 'service_completed_successfully') expect(project.services[other]!.restart).toMatch(/^on-failure/);
      }
    }
  });

  it('asks .env for what .env.example names, and for nothing else', () => {
    const asked = new Set([...files.get(COMPOSE_FILE)!.matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, name]) => name!));
    const named = new Set([...files.get('.env.example')!.matchAll(/^(\w+)=/gm)].map(([, name]) => name!));
    expect(asked).toEqual(named);
  });

  it('gives every process of ours the same collector of traces, and addresses of the broker that there is', () => {
    const given = services.flatMap(([name, { build, profiles, command, environment = {} }]) => (build === undefined || profiles || command?.[0] === 'cli' ? [] : [[name, environment] as const]));
    const { tracing } = parseConfig(text, '/config.json').platform;
    for (const [name, environment] of given) expect(environment['OTEL_EXPORTER_OTLP_ENDPOINT'], name).toBe(tracing?.endpoint);
    for (const [name, { AMQP_URL }] of given) if (AMQP_URL !== undefined) expect(AMQP_URL, name).toMatch(/@rabbitmq:5672$/);
  });

  it('gives every process of ours the variables of config.json; .env has the last word on LOG_LEVEL', () => {
    const { environment } = parseConfig(text, '/config.json').platform;
    const given = services.flatMap(([name, { build, profiles, environment: variables = {} }]) => (build === undefined || profiles ? [] : [[name, variables] as const]));
    for (const [name, variables] of given) expect(variables, name).toMatchObject({ ...environment, LOG_LEVEL: `\${LOG_LEVEL:-${environment['LOG_LEVEL'] ?? 'info'}}` });
  });

  it('mounts folders that are written, and volumes that are declared', () => {
    const written = new Set([...files.keys()].map((path) => path.split('/').slice(0, -1).join('/')));
    for (const [name, { volumes = [] }] of services) {
      for (const volume of volumes) {
        const [source] = volume.split(':') as [string];
        if (source.startsWith('./compose/')) expect(written, name).toContain(source.slice(2));
        else if (!source.startsWith('.')) expect(project.volumes, name).toHaveProperty(source);
      }
    }
  });

  it('tells every process of ours where the others are, in variables and files that it takes', () => {
    const names = namesOf(project);
    for (const [name, { environment = {}, image, volumes = [] }] of services.filter(([, { image: of }]) => of.includes('elastic-image-search'))) {
      const filled = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, value.replace(/\$\{(\w+):-([^}]*)\}/g, '$2').replace(/\$\{\w+:\?[^}]*\}/g, 'deadbeef')]));
      expect(() => parseEnvironment(filled), name).not.toThrow();
      for (const value of Object.values(filled)) for (const [, host] of value.matchAll(/(?:http|amqp|mongodb):\/\/(?:[^@/;]*@)?([\w.-]+)/g)) expect(names, `${name} of ${image}`).toContain(host);
      const folder = volumes.find((volume) => volume.includes(':/etc/eis:'))?.split(':')[0]?.slice(2);
      if (folder !== undefined) expect(() => parseConfig(files.get(`${folder}/config.json`)!, '/etc/eis/config.json'), name).not.toThrow();
    }
  });

  it('gives Prometheus the names that it looks its targets up by', () => {
    const [, scrape] = [...files].find(([path]) => path.endsWith('/prometheus.yml'))!;
    const targets = (parse(scrape) as { scrape_configs: { dns_sd_configs?: { names: string[] }[] }[] }).scrape_configs.flatMap(({ dns_sd_configs: lookups = [] }) => lookups.flatMap((lookup) => lookup.names));
    for (const target of targets) expect(namesOf(project)).toContain(target);
    expect(targets.length).toBeGreaterThan(3);
  });
});

describe('docker-compose.yml', () => {
  it('runs the commands of the manifests', () => {
    const { services } = projectOf(render(seedText()));
    const roles = manifestsOf(seedText()).filter((object) => object.kind === 'Deployment' || object.kind === 'StatefulSet').filter(({ metadata: { name } }) => !name.startsWith('mongo'));
    expect(roles.length).toBeGreaterThan(10);
    for (const { metadata: { name }, spec } of roles) expect(services[name]?.entrypoint, name).toEqual(spec!.template.spec!.containers[0]!.command);
  });

  it('has a function for each model, with its own file where that lies on this machine', () => {
    const files = render(MODELS_HERE);
    const { services } = projectOf(files);
    const mounted = (name: string): string[] => services[name]!.volumes!.filter((volume) => volume.includes('/models/'));
    expect(mounted('function-a-folder')).toEqual(['./models/mine:/models/a_folder:ro,z']);
    expect(mounted('function-a-json')).toEqual(['../other:/models/a_json:ro,z']);
    expect(mounted('function-keras')).toEqual(['../../opt/net.h5:/models/keras.h5:ro,z']);
    expect(mounted('function-far')).toEqual([]);
    const configs = [...files].filter(([path]) => path.startsWith('compose/function-')).map(([, text]) => (JSON.parse(text) as { models: object[] }).models[0]);
    expect(configs).toEqual(expect.arrayContaining([expect.objectContaining({ model_url: '/models/a_folder' }), { name: 'a_json', model_url: '/models/a_json/model.json', preprocess: '[0,1]', engine: 'auto' }, expect.objectContaining({ model_url: '/models/keras.h5' }), expect.objectContaining({ model_url: 'https://example.com/model.json' })]));
  });

  it('builds its image where no registry has it', () => {
    expect(projectOf(render(VARIANTS['the shipped configuration']!)).services['wrapper']).toMatchObject({ image: 'elastic-image-search:1.2.3', build: '.' });
    expect(projectOf(render(VARIANTS['a registry']!)).services['wrapper']).toMatchObject({ image: 'registry.example.com/team/elastic-image-search:1.2.3' });
  });

  it('in the repository is what the shipped config.json renders to (else: npm run eis -- compose)', () => {
    const rendered = renderCompose({ config: loadConfig(packagePath('config.json')), version: packageVersion(), folder: packagePath() });
    for (const [path, text] of rendered) expect(readFileSync(packagePath(path), 'utf8'), path).toBe(text);
    const inFolder = readdirSync(packagePath('compose'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
    expect(inFolder).toBe([...rendered.keys()].filter((path) => path.startsWith('compose/')).length);
  });

  it('is written by eis compose, which takes away what it wrote before', async () => {
    const folder = tempFolder();
    const write = async (shards: number): Promise<string[]> => {
      const { code, stdout } = await runCli(['compose', '--out', folder, '--json'], { EIS_CONFIG: packagePath('config.json') });
      expect({ code, shards }).toEqual({ code: 0, shards });
      return (JSON.parse(stdout) as { files: string[] }).files;
    };
    const files = await write(2);
    for (const path of files) expect(readFileSync(join(folder, path), 'utf8').length, path).toBeGreaterThan(0);
    expect(readdirSync(folder).sort()).toEqual(['.env.example', 'compose', COMPOSE_FILE]);
  });
});
