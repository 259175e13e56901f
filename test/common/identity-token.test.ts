import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { IdentityTokens, takesToken, TokenUnavailable } from '../../common/identity-token.js';
import { unsignedToken } from '../support/identity.js';

const AUDIENCE = 'https://embed-a.a.run.app';
const HOUR_MS = 3_600_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A source that gives out tokens of an hour, and counts. */
function source(): { readonly tokens: IdentityTokens; readonly fetchToken: ReturnType<typeof vi.fn<(audience: string) => Promise<string>>> } {
  const fetchToken = vi.fn<(audience: string) => Promise<string>>(async () => unsignedToken(Date.now() + HOUR_MS));
  return { tokens: new IdentityTokens({ audience: AUDIENCE, fetchToken }), fetchToken };
}

describe('IdentityTokens', () => {
  it('asks for the token of this audience once, however many calls wait for it', async () => {
    const { tokens, fetchToken } = source();
    const got = await Promise.all([tokens.current(), tokens.current(), tokens.current()]);
    expect(new Set(got).size).toBe(1);
    expect(fetchToken.mock.calls).toEqual([[AUDIENCE]]);
    expect(await tokens.current()).toBe(got[0]);
  });

  it('has the first token before a call asks for it, when it is told to', async () => {
    const { tokens, fetchToken } = source();
    tokens.prepare();
    await vi.advanceTimersByTimeAsync(0);
    await tokens.current();
    expect(fetchToken).toHaveBeenCalledTimes(1);
  });

  it('renews a token five minutes before it ends, while nobody waits', async () => {
    const { tokens, fetchToken } = source();
    const first = await tokens.current();
    await vi.advanceTimersByTimeAsync(54 * 60_000);
    expect(await tokens.current()).toBe(first);
    await vi.advanceTimersByTimeAsync(2 * 60_000);
    expect(fetchToken).toHaveBeenCalledTimes(2);
    expect(await tokens.current()).not.toBe(first);
  });

  it('uses the token that it has while no newer one is to be had, and tries on', async () => {
    const { tokens, fetchToken } = source();
    const first = await tokens.current();
    fetchToken.mockRejectedValue(new Error('connect ECONNREFUSED'));
    await vi.advanceTimersByTimeAsync(57 * 60_000);
    expect(await tokens.current()).toBe(first);
    expect(fetchToken.mock.calls.length).toBeGreaterThan(3);
    fetchToken.mockImplementation(async () => unsignedToken(Date.now() + HOUR_MS));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await tokens.current()).not.toBe(first);
  });

  it('sends no token that has ended', async () => {
    const { tokens, fetchToken } = source();
    await tokens.current();
    fetchToken.mockRejectedValue(new Error('connect ECONNREFUSED'));
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    await expect(tokens.current()).rejects.toThrow(`No identity token for ${AUDIENCE}: connect ECONNREFUSED`);
  });

  it('fetches one newer token for all calls that were refused with the same', async () => {
    const { tokens, fetchToken } = source();
    const refused = await tokens.current();
    const renewed = await Promise.all([tokens.renewed(refused), tokens.renewed(refused)]);
    expect(renewed[0]).not.toBe(refused);
    expect(await tokens.renewed(refused)).toBe(renewed[0]);
    expect(fetchToken).toHaveBeenCalledTimes(2);
  });

  it('lets one caller give up waiting, and the others have the token', async () => {
    const { tokens, fetchToken } = source();
    let arrive: (token: string) => void = () => undefined;
    fetchToken.mockImplementation(() => new Promise((resolve) => (arrive = resolve)));
    const giving = new AbortController();
    const [impatient, patient] = [tokens.current(giving.signal), tokens.current()];
    giving.abort(new Error('the client left'));
    await expect(impatient).rejects.toThrow('the client left');
    arrive(unsignedToken(Date.now() + HOUR_MS));
    expect(await patient).toMatch(/^ey/);
  });

  it('waits five seconds for a source that says nothing', async () => {
    const { tokens, fetchToken } = source();
    fetchToken.mockImplementation(() => new Promise(() => undefined));
    const failed = expect(tokens.current()).rejects.toThrow('nothing came within 5000 ms');
    await vi.advanceTimersByTimeAsync(5_000);
    await failed;
  });

  it.each([['is none', 'hello'], ['has ended already', unsignedToken(1_000)]])('takes no token that %s', async (_what, token) => {
    const { tokens, fetchToken } = source();
    fetchToken.mockResolvedValue(token);
    await expect(tokens.current()).rejects.toThrow('no token that is valid now; does the clock of this machine go right?');
  });

  it('says what went wrong without the tokens and keys that errors of HTTP clients carry', async () => {
    const { tokens, fetchToken } = source();
    const assertion = unsignedToken(Date.now() + HOUR_MS);
    fetchToken.mockRejectedValue(Object.assign(new Error(`invalid_grant for ${assertion} and ${'A'.repeat(100)}\nmore`), { config: { data: { assertion } } }));
    const error = await tokens.current().catch((thrown: unknown) => thrown as Error);
    expect(error).toBeInstanceOf(TokenUnavailable);
    expect((error as Error).message).toBe(`No identity token for ${AUDIENCE}: invalid_grant for (a token) and (a secret)`);
    expect(JSON.stringify(Object.entries(error as Error)) + String((error as Error).cause) + (error as Error).stack).not.toContain(assertion);
  });
});

describe('takesToken()', () => {
  it.each([
    ['https://embed-a.a.run.app', true],
    ['https://europe-west1-p.cloudfunctions.net/embed-a', true],
    ['http://embed-a.example.com', false],
    ['https://localhost:8090', false],
    ['https://127.0.0.1:8090', false],
    ['https://[::1]:8090', false],
    ['http://127.0.0.1:8090', false],
  ])('%s: %s', (url, takes) => {
    expect(takesToken(new URL(url))).toBe(takes);
  });
});
