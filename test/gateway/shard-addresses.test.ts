import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ShardAddresses } from '../../gateway/shard-addresses.js';

let names: Record<string, readonly string[] | Error>;
let told: (readonly string[])[];
let failed: string[];
let addresses: ShardAddresses;

function start(...urls: string[]): Promise<void> {
  const resolve = async (hostname: string): Promise<readonly string[]> => {
    const found = names[hostname];
    if (!found || found instanceof Error) throw found ?? new Error('unknown');
    return found;
  };
  addresses = new ShardAddresses({ urls, onAddresses: (now) => told.push(now), onFailed: (hostname) => failed.push(hostname), refreshMs: 5_000, resolve });
  return addresses.start();
}

beforeEach(() => {
  vi.useFakeTimers();
  [names, told, failed] = [{}, [], []];
});
afterEach(() => {
  addresses.close();
  vi.useRealTimers();
});

describe('ShardAddresses', () => {
  it('takes addresses and localhost as they are, and asks nobody', async () => {
    await start('http://127.0.0.1:8100', 'http://[::1]:8100', 'http://localhost:8101');
    expect(told).toEqual([['http://127.0.0.1:8100', 'http://[::1]:8100', 'http://localhost:8101']]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('finds a replica behind every address of a name, with the port and path of the URL', async () => {
    names['pods'] = ['10.0.0.2', '10.0.0.1', 'fd00::1'];
    await start('http://pods:8100/shard', 'http://10.9.9.9:1');
    expect(told).toEqual([['http://10.0.0.1:8100/shard', 'http://10.0.0.2:8100/shard', 'http://[fd00::1]:8100/shard', 'http://10.9.9.9:1']]);
  });

  it('asks again, as pods come and go', async () => {
    names['pods'] = ['10.0.0.1'];
    await start('http://pods:1');
    names['pods'] = ['10.0.0.2', '10.0.0.3'];
    await vi.advanceTimersByTimeAsync(5_000);
    expect(told.at(-1)).toEqual(['http://10.0.0.2:1', 'http://10.0.0.3:1']);
  });

  it.each([['fails', new Error('SERVFAIL')], ['answers nothing', []]])('keeps what was known while the name service %s', async (_name, answer) => {
    names['pods'] = ['10.0.0.1'];
    await start('http://pods:1');
    names['pods'] = answer;
    await vi.advanceTimersByTimeAsync(5_000);
    expect([told.at(-1), failed]).toEqual([['http://10.0.0.1:1'], ['pods']]);
    names['pods'] = ['10.0.0.7'];
    await vi.advanceTimersByTimeAsync(5_000);
    expect(told.at(-1)).toEqual(['http://10.0.0.7:1']);
  });

  it('starts without the replicas of a name that is not known, and finds them later', async () => {
    await start('http://pods:1', 'http://10.9.9.9:1');
    expect([told, failed]).toEqual([[['http://10.9.9.9:1']], ['pods']]);
    names['pods'] = ['10.0.0.1'];
    await vi.advanceTimersByTimeAsync(5_000);
    expect(told.at(-1)).toEqual(['http://10.0.0.1:1', 'http://10.9.9.9:1']);
  });

  it('leaves https URLs to the balancer that their certificate is of', async () => {
    await start('https://index.example.com');
    expect(told).toEqual([['https://index.example.com']]);
  });

  it('asks no more once it is closed', async () => {
    names['pods'] = ['10.0.0.1'];
    await start('http://pods:1');
    addresses.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toHaveLength(1);
  });
});
