/** What is used of WebAssembly's interface: its types stand in TypeScript's library for browsers, which is not ours. */
declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- it is one
  namespace WebAssembly {
    class Module {
      constructor(bytes: Uint8Array);
    }
    /** Always shared here. */
    class Memory {
      constructor(descriptor: { readonly initial: number; readonly maximum: number; readonly shared: true });
      readonly buffer: SharedArrayBuffer;
    }
    class Instance {
      constructor(module: Module, imports: { readonly env: { readonly memory: Memory } });
      readonly exports: Readonly<Record<string, (...parameters: number[]) => number | undefined>>;
    }
  }
}

export {};
