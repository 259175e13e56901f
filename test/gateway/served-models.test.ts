import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { closeModels, connectModels } from '../../gateway/served-models.js';

const CONFIG = parseConfig(JSON.stringify({
  models: [{ name: 'resnet' }, { name: 'my-model' }],
  services: [
    { name: 'indexing', models: [{ name: 'resnet', num_indexes: 2 }, { name: 'my-model' }] },
    { name: 'nginx', serving_weights: [{ name: 'resnet', weight: 3 }] },
  ],
}), '/test/config.json');
const VARIABLES = {
  FUNCTION_URL_RESNET: 'http://f:1', INDEX_URLS_RESNET: 'http://a:1,http://10.0.0.2:1;http://c:1/prefix/',
  FUNCTION_URL_MY_MODEL: 'http://f:2', INDEX_URLS_MY_MODEL: 'http://d:1',
};

async function connect(variables: Record<string, string | undefined>): Promise<{ name: string; weight: number; shards: string[] }[]> {
  const models = await connectModels(CONFIG, parseEnvironment(variables), { metrics: new Metrics('gateway'), log: SILENT_LOG, resolve: async () => ['10.0.0.1'] });
  const connected = [...models.values()].map(({ name, weight, shards }) => ({ name, weight, shards: shards.map((shard) => `${shard.name}: ${shard.addresses.join(' ')}`) }));
  await closeModels(models);
  return connected;
}

describe('connectModels()', () => {
  it('connects every served model to its function, its shards and their replicas', async () => {
    const models = await connect(VARIABLES);
    expect(models).toEqual([
      { name: 'resnet', weight: 3, shards: ['0/2: http://10.0.0.1:1 http://10.0.0.2:1', '1/2: http://10.0.0.1:1/prefix'] },
      { name: 'my-model', weight: 0, shards: ['0/1: http://10.0.0.1:1'] },
    ]);
  });

  it('serves the one model that MODEL names, and ignores the weights', async () => {
    const models = await connect({ FUNCTION_URL_MY_MODEL: 'http://f:2', INDEX_URLS_MY_MODEL: 'http://d:1', MODEL: 'my-model' });
    expect(models.map(({ name, weight }) => ({ name, weight }))).toEqual([{ name: 'my-model', weight: 1 }]);
  });

  it.each([
    ['FUNCTION_URL_RESNET', { FUNCTION_URL_RESNET: undefined }, 'it is not set'],
    ['INDEX_URLS_MY_MODEL', { INDEX_URLS_MY_MODEL: undefined }, 'it is not set'],
    ['INDEX_URLS_RESNET', { INDEX_URLS_RESNET: 'http://a:1' }, 'names 1 shard(s) and /test/config.json has num_indexes 2'],
    ['MODEL', { MODEL: 'other' }, 'Choose one of: resnet, my-model'],
  ])('names %s when it does not fit', async (variable, change, detail) => {
    const failure = connect({ ...VARIABLES, ...change });
    await expect(failure).rejects.toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining(`${variable}: `) as string });
    await expect(failure).rejects.toThrow(detail);
  });

  it('connects to a shadow once, also where no gateway serves it', async () => {
    const serving = { name: 'serving', models: [{ name: 'resnet', shadow: { model: 'my-model', share: 0.1 } }] };
    const config = parseConfig(JSON.stringify({ models: [{ name: 'resnet' }, { name: 'my-model' }], services: [serving] }), '/test/config.json');
    const models = await connectModels(config, parseEnvironment({ ...VARIABLES, INDEX_URLS_RESNET: 'http://a:1', MODEL: 'resnet' }), { metrics: new Metrics('gateway'), log: SILENT_LOG, resolve: async () => ['10.0.0.1'] });
    const { shadow } = models.get('resnet')!;
    expect([[...models.keys()], shadow!.model.name, shadow!.share, shadow!.model.shards.length]).toEqual([['resnet'], 'my-model', 0.1, 1]);
    await closeModels(models);
  });
});
