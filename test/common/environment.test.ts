import { describe, expect, it } from 'vitest';
import { parseEnvironment } from '../../common/environment.js';
import { DEFAULT_LIMITS, limitVariable } from '../../common/limits.js';

describe('parseEnvironment()', () => {
  it('has a default for everything', () => {
    const environment = parseEnvironment({});
    expect(environment).toMatchObject({ host: '127.0.0.1', basePort: 8080, port: undefined, shard: undefined, logLevel: 'info', limits: DEFAULT_LIMITS });
    expect(environment.dataDir).toMatch(/\/data$/);
  });

  it('takes an empty variable as unset', () => {
    expect(parseEnvironment({ PORT: '', SHARD: '', AMQP_URL: '' })).toMatchObject({ port: undefined, shard: undefined, amqpUrl: undefined });
  });

  it('reads shards and replicas of a model whose name has other letters', () => {
    const environment = parseEnvironment({ INDEX_URLS_MY_MODEL: 'http://a:1,http://b:1/;http://c:1', FUNCTION_URL_MY_MODEL: 'https://f/embed/' });
    expect(environment.indexUrls('my-model')).toEqual([['http://a:1', 'http://b:1'], ['http://c:1']]);
    expect(environment.functionUrl('my-model')).toBe('https://f/embed');
    expect(environment.indexUrls('other')).toBeUndefined();
  });

  it('tells which variables a deployed function is given: what it reads and is set, its concurrency and a folder of this machine left out', () => {
    const given = (variables: Record<string, string>) => parseEnvironment(variables).functionVariables;
    expect(given({ BUCKET: 'gs://images/prefix', EIS_FETCH_DENY: '10.0.0.0/8', EIS_IMAGE_BYTES_MAX: '1000', EIS_FUNCTION_CONCURRENCY: '4', MONGODB_URI: 'mongodb://u:p@h/d', EIS_API_KEYS: 'search:*', PORT: '1' })).toEqual({ BUCKET: 'gs://images/prefix', EIS_FETCH_DENY: '10.0.0.0/8', EIS_IMAGE_BYTES_MAX: '1000' });
    expect(given({ BUCKET: '/srv/images', LOG_LEVEL: '' })).toEqual({});
  });

  it('takes the settings of MLflow as they are written: one that is of no use here is no error of any process', () => {
    expect(parseEnvironment({}).mlflow).toEqual({ trackingUri: undefined, experiment: undefined, token: undefined, username: undefined, password: undefined });
    expect(parseEnvironment({ MLFLOW_TRACKING_URI: 'sqlite:///mlruns.db', MLFLOW_TRACKING_TOKEN: 't' }).mlflow).toMatchObject({ trackingUri: 'sqlite:///mlruns.db', token: 't' });
  });

  it('knows Cloud Run by the variable that it sets, and listens for everybody there', () => {
    expect(parseEnvironment({})).toMatchObject({ isCloudRun: false, host: '127.0.0.1' });
    expect(parseEnvironment({ K_SERVICE: 'embed-a' })).toMatchObject({ isCloudRun: true, host: '0.0.0.0' });
  });

  it('takes a folder or a URL for the mirror of models, and refuses a URL without a host', () => {
    const mirror = (text: string): string | undefined => parseEnvironment({ EIS_MODEL_MIRROR: text }).modelMirror;
    expect(['/srv/models/', 'https://h/good//', 'http://h/good/?sig=a/', 'gs://bucket', 'gs://bucket/'].map(mirror)).toEqual(['/srv/models', 'https://h/good', 'http://h/good?sig=a/', 'gs://bucket', 'gs://bucket']);
    for (const text of ['gs://', 'https://', 'http:///models', 'https://?sig=1']) expect(() => mirror(text), text).toThrow(/EIS_MODEL_MIRROR.*names no host, or no bucket/);
    for (const text of ['ftp://h/models', 'http://h:99999']) expect(() => mirror(text), text).toThrow(/neither a folder nor an http/);
  });

  it('sets every limit by its variable', () => {
    for (const name of Object.keys(DEFAULT_LIMITS) as (keyof typeof DEFAULT_LIMITS)[]) {
      expect(parseEnvironment({ [limitVariable(name)]: '7' }).limits).toEqual({ ...DEFAULT_LIMITS, [name]: 7 });
    }
    expect(limitVariable('imageBytesMax')).toBe('EIS_IMAGE_BYTES_MAX');
  });

  it.each([
    ['PORT', 'http'], ['PORT', '70000'], ['SHARD', '2/2'], ['SHARD', '-1/2'], ['SHARD', 'a'], ['LOG_LEVEL', 'loud'], ['WRAPPER_URL', 'localhost:8081'], ['EIS_TOP_MAX', '1.5'], ['EIS_SNAPSHOT_EVERY_MS', '0'],
  ])('refuses %s=%s and names the variable', (variable, value) => {
    expect(() => parseEnvironment({ [variable]: value })).toThrow(expect.objectContaining({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining(variable) as string }));
  });

  it.each(['broker:5672', 'http://eis:s3cret@broker', 'amqp://', 'amqp://eis:s3/cret@broker'])('refuses AMQP_URL=%s without saying the password', (url) => {
    const refuse = (): unknown => parseEnvironment({ AMQP_URL: url });
    expect(refuse).toThrow(/AMQP_URL: it is no amqp:\/\/ or amqps:\/\/ URL/);
    expect(refuse).not.toThrow(/s3/);
  });

  it.each(['host:27017', 'http://eis:s3cret@host', 'mongodb://', 'mongodb://eis:s3cret@', 'mongodb://eis:s3/cret@host', 'mongodb://eis:s3@cret@host'])('refuses MONGODB_URI=%s without saying the password', (uri) => {
    const refuse = (): unknown => parseEnvironment({ MONGODB_URI: uri });
    expect(refuse).toThrow(/MONGODB_URI: it is no mongodb:\/\/ or mongodb\+srv:\/\/ URI/);
    expect(refuse).not.toThrow(/s3/);
  });

  it.each(['mongodb://host', 'mongodb://eis:a%2Fb@h1:27017,h2/images?replicaSet=rs0', 'mongodb+srv://eis:x@cluster.example.net/?w=majority', 'mongodb://[::1]:27017/'])('takes MONGODB_URI=%s as it is', (uri) => {
    expect(parseEnvironment({ MONGODB_URI: uri }).mongodbUri).toBe(uri);
  });

  it('takes an AMQP_URL as it is', () => {
    expect(parseEnvironment({ AMQP_URL: 'amqps://eis:a%2Fb@broker/images?heartbeat=5' }).amqpUrl).toBe('amqps://eis:a%2Fb@broker/images?heartbeat=5');
  });

  it('refuses index addresses that are none, and a shard without any', () => {
    expect(() => parseEnvironment({ INDEX_URLS_A: 'nonsense' }).indexUrls('a')).toThrow(/INDEX_URLS_A: "nonsense" is not an http/);
    expect(() => parseEnvironment({ INDEX_URLS_A: 'http://a;;http://b' }).indexUrls('a')).toThrow(/a shard has no address/);
  });
});
