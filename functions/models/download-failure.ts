/** What goes wrong with the transfer of a file: in words, with what to do about it, and whether another attempt may do better. */
import { EisError } from '../../common/errors.js';

interface FailureOptions {
  /** Whether another attempt may succeed. */
  readonly isTransient?: boolean;
  /** What the host asks to wait before it. */
  readonly retryAfterMs?: number | undefined;
  /** What has come is of no use, or in the way. */
  readonly isUseless?: boolean;
  /** It brought something, but too little for another such attempt to be one step further. */
  readonly isSlow?: boolean;
  readonly cause?: unknown;
}

/** `what` went wrong, without a full stop; `advice` in whole sentences. */
export class TransferFailure extends Error {
  readonly isTransient: boolean;
  readonly retryAfterMs: number | undefined;
  readonly isUseless: boolean;
  readonly isSlow: boolean;

  constructor(readonly what: string, readonly advice: string, { isTransient = false, retryAfterMs, isUseless = false, isSlow = false, cause }: FailureOptions = {}) {
    super(what, { cause });
    this.isTransient = isTransient;
    this.retryAfterMs = retryAfterMs;
    this.isUseless = isUseless;
    this.isSlow = isSlow;
  }

  /** @param attempts how many failed in a row, where more than one was made */
  toError(url: string, attempts = 1): EisError {
    const times = this.isTransient && attempts > 1 ? `, ${attempts} times in a row` : '';
    return new EisError('EIS_MODEL_DOWNLOAD', { url, detail: `${this.what}${times}. ${this.advice}` }, { cause: this });
  }
}

const KEPT = 'What has come so far is kept: start again, and it goes on from there.';
const DO_IT_YOURSELF = 'Download the model yourself and set "model_url" to its path.';
const LATER = `Try again later. ${KEPT}`;

/** For a URL in a message: without the secrets that user names, passwords and queries are. */
export function displayUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The same for what may be a path, or no URL at all although it was meant to be one. */
export function displayAddress(place: string): string {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(place)) return place;
  return URL.canParse(place) ? displayUrl(new URL(place)) : place.replace(/[?#].*$/s, '').replace(/^([^/]*\/\/)[^/]*@/, '$1');
}

/** An answer that is not the file. */
export function statusFailure(status: number, retryAfter: string | undefined): TransferFailure {
  const what = `its host answered ${status}`;
  if (status === 404 || status === 410) return new TransferFailure(`${what}: there is no such file`, 'Check the address.');
  if (status === 401 || status === 403) return new TransferFailure(`${what}: it wants a login, or the file is not public`, DO_IT_YOURSELF);
  if (status === 407) return proxyFailure(status);
  if (status === 408 || status === 429 || status >= 500) return new TransferFailure(what, LATER, { isTransient: true, retryAfterMs: readRetryAfterMs(retryAfter) });
  return new TransferFailure(what, `Check that the address is that of the file itself, or: ${DO_IT_YOURSELF}`);
}

/** Seconds or a date (RFC 9110, 10.2.3). */
function readRetryAfterMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\s*\d+\s*$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

export function stallFailure(stallMs: number): TransferFailure {
  return new TransferFailure(`its host sent nothing for ${stallMs / 1_000} s`, LATER, { isTransient: true });
}

export function slowFailure({ bytesPerSecondMin, windowMs }: { readonly bytesPerSecondMin: number; readonly windowMs: number }): TransferFailure {
  return new TransferFailure(`its host sent less than ${bytesPerSecondMin / 1_000} kB/s over ${windowMs / 1_000} s`, `Check the network, or try again later. ${KEPT}`, { isTransient: true, isSlow: true });
}

export function brokenOff(cause?: unknown): TransferFailure {
  return new TransferFailure('the connection to its host broke off', `Check the network. ${KEPT}`, { isTransient: true, cause });
}

function proxyFailure(status: number): TransferFailure {
  const isTransient = status >= 500 || status === 429;
  const advice = status === 407 ? 'Put a user name and a password into the URL of HTTPS_PROXY or HTTP_PROXY.' : 'Ask whoever runs it to let this host through, or name the host in NO_PROXY.';
  return new TransferFailure(`the proxy answered ${status}`, advice, { isTransient });
}

const TLS = /^(ERR_TLS_|ERR_SSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|EPROTO$|UND_ERR_PRX_TLS)/;

/** Whatever a connection, or an attempt to make one, broke with. */
export function networkFailure(thrown: unknown): TransferFailure {
  const proxyStatus = /^Proxy response \((\d+)\)|^Proxy Authentication Required \((407)\)/.exec((thrown as Error).message);
  if (proxyStatus) return proxyFailure(Number(proxyStatus[1] ?? proxyStatus[2]));
  const code = codeOf(thrown);
  if (TLS.test(code)) return new TransferFailure(`no secure connection can be made to its host (${code})`, 'Check that the address is right and speaks https. If a company or a proxy signs its own certificates, name its root certificate in NODE_EXTRA_CA_CERTS.', { cause: thrown });
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new TransferFailure('the name of its host, or of the proxy, is not known', 'Check the address and the network. If this machine reaches the internet through a proxy, set HTTPS_PROXY.', { isTransient: code === 'EAI_AGAIN', cause: thrown });
    case 'ECONNREFUSED':
      return new TransferFailure('its host does not answer: it, or the proxy, refuses connections', 'Check the address and its port, and that a server runs there.', { isTransient: true, cause: thrown });
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return new TransferFailure('its host does not answer: no connection can be made to it', 'Check the network. If this machine reaches the internet through a proxy, set HTTPS_PROXY.', { isTransient: true, cause: thrown });
    default:
      return brokenOff(thrown);
  }
}

function codeOf(thrown: unknown): string {
  const { code, errors, cause } = (thrown ?? {}) as { code?: unknown; errors?: readonly unknown[]; cause?: unknown };
  if (typeof code === 'string') return code;
  const inner = errors?.[0] ?? cause;
  return inner === undefined ? '' : codeOf(inner);
}

const DISK = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'ENOTDIR', 'EISDIR', 'EEXIST', 'EIO', 'EFBIG', 'ENAMETOOLONG', 'EMFILE', 'ENFILE', 'ENOTEMPTY', 'EXDEV']);

/** The failure of a disk; undefined when it is none. */
export function diskFailure(thrown: unknown, folder: string): TransferFailure | undefined {
  const { code = '', syscall } = (thrown ?? {}) as NodeJS.ErrnoException;
  if (!DISK.has(code) || syscall === 'connect') return undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new TransferFailure(`the disk of ${folder} is full`, 'Make room there, or set EIS_DATA_DIR to a larger disk. What had come was removed.', { isUseless: true, cause: thrown });
  return new TransferFailure(`the folder ${folder} cannot be written (${code})`, 'Give this process the right to write there, or set EIS_DATA_DIR to a folder where it has it.', { cause: thrown });
}
