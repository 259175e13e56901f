/** What every store's ledger keeps to; part of the store's contract. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { LedgerKey, Store } from '../../../common/store/store.js';

const idOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** @param open opens the store once more, as another process does */
export function describeLedger(current: () => Store, open: () => Promise<Store>): void {
  describe('ledger', () => {
    const key = (source: string, submission = 's1'): LedgerKey => ({ submission, source, model: 'm' });

    it('knows nothing of a source that was not accepted', async () => {
      expect(await current().ledger.getMany([key('a')])).toEqual([undefined]);
    });

    it('lets the first terminal state win and says what stands', async () => {
      const { ledger } = current();
      await ledger.accept([key('a')]);
      expect(await ledger.settle([{ ...key('a'), state: 'stored', id: idOf('a') }])).toMatchObject([{ state: 'stored', id: idOf('a') }]);
      expect(await ledger.settle([{ ...key('a'), state: 'duplicate', id: idOf('a') }])).toMatchObject([{ state: 'stored' }]);
      expect(await ledger.counts('s1')).toEqual({ accepted: 0, stored: 1, duplicate: 0, rejected: 0, dead: 0 });
    });

    it('does not take a settled source back to accepted', async () => {
      const { ledger } = current();
      await ledger.settle([{ ...key('a'), state: 'stored', id: idOf('a') }]);
      await ledger.accept([key('a')]);
      expect(await ledger.getMany([key('a')])).toMatchObject([{ state: 'stored' }]);
    });

    it('reopens for a replay, and only what it knows', async () => {
      const { ledger } = current();
      await ledger.settle([{ ...key('a'), state: 'dead', code: 'EIS_DELIVERY_LIMIT', message: 'why' }]);
      await ledger.reopen([key('a'), key('unknown')]);
      expect(await ledger.getMany([key('a'), key('unknown')])).toMatchObject([{ state: 'accepted' }, undefined]);
      expect(await ledger.counts('s1')).toMatchObject({ accepted: 1, dead: 0 });
    });

    it('reopens only what is dead', async () => {
      const { ledger } = current();
      await ledger.settle([{ ...key('a'), state: 'stored', id: 'f'.repeat(64) }]);
      await ledger.reopen([key('a')]);
      expect(await ledger.getMany([key('a')])).toMatchObject([{ state: 'stored', id: 'f'.repeat(64) }]);
      expect(await ledger.counts('s1')).toMatchObject({ stored: 1, accepted: 0 });
    });

    it('keeps the same source of two submissions and two models apart', async () => {
      const { ledger } = current();
      await ledger.accept([key('a'), key('a', 's2'), { ...key('a'), model: 'n' }]);
      await ledger.settle([{ ...key('a'), state: 'rejected', code: 'EIS_IMAGE_INVALID', message: 'no' }]);
      expect(await ledger.getMany([key('a'), key('a', 's2'), { ...key('a'), model: 'n' }])).toMatchObject([{ state: 'rejected' }, { state: 'accepted' }, { state: 'accepted' }]);
    });

    it('takes sources longer than any key', async () => {
      const source = `https://example.com/${'x'.repeat(5000)}`;
      await current().ledger.accept([key(source)]);
      expect(await current().ledger.getMany([key(source)])).toMatchObject([{ source, state: 'accepted' }]);
    });

    it('lists every entry once, page by page, by any filter', async () => {
      const { ledger } = current();
      const sources = Array.from({ length: 25 }, (_, i) => `source ${i}`);
      await ledger.accept(sources.flatMap((source) => [key(source), key(source, 's2')]));
      await ledger.settle(sources.slice(0, 10).map((source) => ({ ...key(source), state: 'rejected' as const, code: 'EIS_IMAGE_INVALID', message: 'no' })));
      const listAll = async (filter: { submission?: string; state?: 'accepted' | 'rejected' }): Promise<string[]> => {
        const found: string[] = [];
        let after: string | undefined;
        do {
          const page = await ledger.list({ ...filter, limit: 7, after });
          expect(page.entries.length).toBeLessThanOrEqual(7);
          found.push(...page.entries.map((entry) => `${entry.submission} ${entry.source}`));
          after = page.next;
        } while (after !== undefined);
        return found.sort();
      };
      const named = (submission: string, of: string[]): string[] => of.map((source) => `${submission} ${source}`);
      expect(await listAll({})).toEqual([...named('s1', sources), ...named('s2', sources)].sort());
      expect(await listAll({ submission: 's2' })).toEqual(named('s2', sources).sort());
      expect(await listAll({ state: 'rejected' })).toEqual(named('s1', sources.slice(0, 10)).sort());
      expect(await listAll({ submission: 's1', state: 'accepted' })).toEqual(named('s1', sources.slice(10)).sort());
      expect(await listAll({ submission: 's2', state: 'rejected' })).toEqual([]);
    });

    it('refuses a cursor that is none', async () => {
      await expect(current().ledger.list({ limit: 5, after: 'nonsense' })).rejects.toMatchObject({ code: 'EIS_BAD_REQUEST' });
    });

    it('settles once among concurrent processes', async () => {
      const others = await Promise.all([open(), open()]);
      const standing = await Promise.all(
        ['stored', 'duplicate'].map((state, i) => (others[i] as Store).ledger.settle([{ ...key('a'), state: state as 'stored', id: idOf('a') }])),
      );
      expect(new Set(standing.flat().map((entry) => entry.state)).size).toBe(1);
      const counts = await current().ledger.counts('s1');
      expect(counts.stored + counts.duplicate).toBe(1);
    });
  });
}
