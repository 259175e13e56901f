/** `npm run bench -- NAME [options] [--json]`: the benchmarks, each named after the operation that it measures. */
import { Command } from 'commander';
import { addAutoscaleBench } from './autoscale.js';
import { addDedupeBench } from './dedupe.js';
import { addEmbedBench } from './embed.js';
import { addFilterBench } from './filter.js';
import { addGatewayBench } from './gateway.js';
import { addIndexBench } from './index.js';
import { addIngestBench } from './ingest.js';
import { addLoadBench } from './load.js';
import { addSearchBench } from './search.js';
import { addServeBench } from './serve.js';
import { addShadowBench } from './shadow.js';
import { addStartBench } from './start.js';

const program = new Command('bench').description('Measures one operation; --help after a name shows its options.').showHelpAfterError();
addAutoscaleBench(program);
addDedupeBench(program);
addEmbedBench(program);
addFilterBench(program);
addGatewayBench(program);
addIndexBench(program);
addIngestBench(program);
addLoadBench(program);
addSearchBench(program);
addServeBench(program);
addShadowBench(program);
addStartBench(program);
await program.parseAsync();
