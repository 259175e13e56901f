/** `startStubFunction` in a process of its own; its options come as JSON in EIS_STUB. */
import { startStubFunction, type StubFunctionOptions } from '../support/stub-function.js';

await startStubFunction({ ...(JSON.parse(process.env['EIS_STUB'] ?? '{}') as StubFunctionOptions), port: Number(process.env['PORT']) });
