/**
 * onnxruntime sends what it runs, and on what, to its maker, unless told not to before its library is loaded. The library
 * reads the environment of the process, of which a thread has only a copy: the main thread says it, before it starts any.
 */
export function disableTelemetry(): void {
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
}
