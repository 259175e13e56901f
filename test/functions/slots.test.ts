import { describe, expect, it } from 'vitest';
import { Slots, slotBounds } from '../../functions/slots.js';

const bounds = { workingMax: 1, receivingMax: 2, bytesMax: 100 };
const [a, b, c] = [{}, {}, {}];

describe('Slots', () => {
  it('receives more bodies than are worked on, and no more than it may', () => {
    const slots = new Slots(bounds);
    expect([a, b, c].map((holder) => slots.receive(holder))).toEqual([true, true, false]);
    expect(slots.enter(a)).toBe(true);
    expect(slots.receive(c)).toBe(true);
    expect(slots.enter(b)).toBe(false);
  });

  it('takes work in the background while half of the working slots are free', () => {
    const slots = new Slots({ workingMax: 3, receivingMax: 4, bytesMax: 100 });
    const holders = [{}, {}, {}, {}];
    for (const holder of holders) slots.receive(holder);
    expect(holders.slice(0, 2).map((holder) => slots.enter(holder, { isBackground: true }))).toEqual([true, true]);
    expect(slots.enter(holders[2]!, { isBackground: true })).toBe(false);
    expect([slots.enter(holders[2]!), slots.enter(holders[3]!)]).toEqual([true, false]);
  });

  it('counts the bytes of all bodies, those that are worked on included, until they are released', () => {
    const slots = new Slots(bounds);
    slots.receive(a);
    slots.receive(b);
    expect([slots.grow(a, 60), slots.grow(b, 40), slots.grow(b, 1)]).toEqual([true, true, false]);
    slots.enter(a);
    slots.work(a);
    expect(slots.grow(b, 1)).toBe(false);
    slots.release(a);
    expect([slots.grow(b, 60), slots.bytes]).toEqual([true, 100]);
  });

  it('frees the slot of a client that is gone, unless something works on its image', () => {
    const slots = new Slots(bounds);
    slots.receive(a);
    slots.grow(a, 100);
    slots.disconnect(a);
    expect([slots.taken, slots.bytes]).toEqual([0, 0]);
    slots.receive(b);
    slots.enter(b);
    slots.work(b);
    slots.disconnect(b);
    expect(slots.taken).toBe(1);
    slots.receive(c);
    expect(slots.enter(c)).toBe(false);
    slots.release(b);
    slots.release(b);
    expect([slots.enter(c), slots.taken]).toEqual([true, 1]);
  });

  it('gives nothing to a holder that has gone', () => {
    const slots = new Slots(bounds);
    expect([slots.grow(a, 1), slots.enter(a), slots.bytes]).toEqual([false, false, 0]);
  });
});

describe('slotBounds()', () => {
  it('holds the bytes of as many of the largest images as are worked on', () => {
    expect(slotBounds({ functionConcurrency: 16, imageBytesMax: 20 })).toEqual({ workingMax: 16, receivingMax: 64, bytesMax: 320 });
  });
});
