// A process of its own with the embedded queue open, to be killed by tests. It says to its parent what it holds
// ("hold"), what it acknowledged ("ack"), or what was confirmed to it ("publish").
import { EmbeddedQueue } from '../../dist/ingest/queue/embedded-queue.js';
import { SILENT_LOG } from '../../dist/common/log.js';

const [folder, mode, models] = process.argv.slice(2);
const queue = new EmbeddedQueue({ folder, models: models.split(','), deliveryMax: 3, messagesMax: 10_000, log: SILENT_LOG });
process.once('disconnect', () => process.exit());

if (mode === 'publish') {
  for (let i = 0; ; i++) {
    const source = `https://example.com/${i}`;
    await queue.publish([{ submission: 's', source, acceptedAt: Date.now() }]);
    process.send(source);
  }
}
let acknowledged = Promise.resolve();
const onDelivery = (delivery) => {
  if (mode === 'hold') return process.send(delivery.message.source);
  acknowledged = acknowledged.then(async () => {
    await delivery.ack();
    process.send(delivery.message.source);
  });
};
await queue.consume('alpha', { prefetch: 10, onDelivery });
if (mode === 'ack') process.send('ready');
