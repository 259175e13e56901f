/**
 * nginx.conf: where all requests come in. It chooses the model's gateway (`?model=`, a cookie when asked, else by
 * weight), bounds what comes in as the gateways do, and holds nothing: bodies and answers pass through unbuffered.
 */
import type { Config } from '../../common/config.js';
import { errorBody } from '../../common/errors.js';
import { HEADERS } from '../../common/headers.js';
import type { Limits } from '../../common/limits.js';
import { gatewayName, HTTP_PORT } from './names.js';
import { splitPercentages } from './nginx-split.js';

const MEBIBYTE = 1024 * 1024;
/** What a form adds to the image in it; the gateway's own bound is exact. */
const FORM_BYTES = MEBIBYTE;
/** So that it is the gateway who says that something took too long. */
const MARGIN_S = 5;
const COOKIE = 'eis_model';
/** No name of a model. */
const UNKNOWN = 'unknown.';
const COOKIE_S = 30 * 24 * 60 * 60;

export interface NginxModel {
  readonly name: string;
  readonly kubernetesName: string;
  readonly weight: number;
}

/** The served models in the order of the file. */
export function nginxModels({ serving, models }: Config): NginxModel[] {
  return models.flatMap(({ name, kubernetesName }) => (serving.has(name) ? [{ name, kubernetesName, weight: serving.get(name)?.weight ?? 0 }] : []));
}

/** Seconds after which a search that is being answered has long been given up by its gateway. */
export function searchTimeoutS({ bodyTimeoutMs, searchTimeoutMs }: Pick<Limits, 'bodyTimeoutMs' | 'searchTimeoutMs'>): number {
  return Math.ceil((bodyTimeoutMs + searchTimeoutMs) / 1000) + MARGIN_S;
}

export interface NginxOptions {
  readonly models: readonly NginxModel[];
  /** Whether a client that names no model keeps the one it was given, by a cookie. */
  readonly sticky: boolean;
  readonly limits: Limits;
  /** Where the gateways are reached; default: the service of each. */
  readonly address?: (model: NginxModel) => string;
  readonly port?: number;
}

export function renderNginxConf({ models, sticky, limits, address = ({ kubernetesName }) => `${gatewayName(kubernetesName)}:${HTTP_PORT}`, port = HTTP_PORT }: NginxOptions): string {
  const chosen = splitPercentages(models.map(({ weight }) => weight));
  const weighted = models.flatMap((model, i) => ((chosen[i] as number) > 0 ? [{ model, percent: chosen[i] as number }] : []));
  const known = models.map(({ name }) => name).join(', ');
  const maps = [
    ...map('$arg_model', '$eis_asked', [...namesOf(models), ["''", "''"], ['default', UNKNOWN]]),
    'split_clients $request_id $eis_drawn {',
    ...weighted.map(({ model, percent }, i) => `  ${i === weighted.length - 1 ? '*' : `${percent.toFixed(2)}%`} ${model.name};`),
    '}',
    ...(sticky ? map(`$cookie_${COOKIE}`, '$eis_kept', [...namesOf(weighted.map(({ model }) => model)), ['default', "''"]]) : []),
    ...map(sticky ? '$eis_asked:$eis_kept' : '$eis_asked:', '$eis_model', [["':'", '$eis_drawn'], ...(sticky ? [['~^:', '$eis_kept'] as const] : []), ['default', '$eis_asked']]),
    ...(sticky ? map('$eis_asked', '$eis_cookie', [["''", `"${COOKIE}=$eis_model; Path=/; Max-Age=${COOKIE_S}; SameSite=Lax; HttpOnly"`], ['default', "''"]]) : []),
  ];
  const upstreams = models.flatMap((model) => [`upstream eis.${model.name} {`, `  server ${address(model)} max_fails=0;`, '  keepalive 32;', '}']);
  return `${[
    '# Written by eis deploy from config.json.',
    'worker_processes 2;',
    'pid /tmp/nginx.pid;',
    'error_log stderr warn;',
    'events { worker_connections 4096; }',
    'http {',
    ...indent([
      ...httpSettings(limits),
      '',
      '# A model that is asked for by name; else the one that this client was given before; else one drawn by weight.',
      ...maps,
      '',
      ...upstreams,
      '',
      ...server({ sticky, limits, known, port }),
    ]),
    '}',
  ].join('\n')}\n`;
}

/** Names as patterns: as plain words some of them (`default`, `include`) would be nginx's own. */
function namesOf(models: readonly NginxModel[]): (readonly [key: string, value: string])[] {
  return models.map(({ name }) => [`~^${name}$`, name] as const);
}

function map(from: string, to: string, entries: readonly (readonly [key: string, value: string])[]): string[] {
  return [`map ${from} ${to} {`, ...entries.map(([key, value]) => `  ${key} ${value};`), '}'];
}

function httpSettings(limits: Limits): string[] {
  return [
    `log_format eis escape=json '{"time":"$time_iso8601","reqId":"$eis_request_id","method":"$request_method","uri":"$uri","model":"$eis_model","status":$status,"s":$request_time,"bytes":$request_length}';`,
    'access_log /dev/stdout eis;',
    'client_body_temp_path /tmp/body;',
    'proxy_temp_path /tmp/proxy;',
    'fastcgi_temp_path /tmp/fastcgi;',
    'uwsgi_temp_path /tmp/uwsgi;',
    'scgi_temp_path /tmp/scgi;',
    'server_tokens off;',
    'keepalive_timeout 75s;',
    'client_header_timeout 10s;',
    `client_body_timeout ${Math.ceil(limits.bodyTimeoutMs / 1000)}s;`,
    '',
    '# An id that is fit for a log is passed on (as common/request-id.ts), another replaced.',
    ...map('$http_x_request_id', '$eis_request_id', [['"~^[A-Za-z0-9_.:/+=-]{1,128}$"', '$http_x_request_id'], ['default', '$request_id']]),
  ];
}

function server({ sticky, limits, known, port }: { readonly sticky: boolean; readonly limits: Limits; readonly known: string; readonly port: number }): string[] {
  const json = (statusCode: number, code: string, message: string): string => JSON.stringify(errorBody(statusCode, code, message));
  const proxy = [`if ($eis_model = ${UNKNOWN}) { return 404; }`, 'proxy_pass http://eis.$eis_model;'];
  return [
    'server {',
    ...indent([
      `listen ${port};`,
      'default_type application/json;',
      'proxy_http_version 1.1;',
      "proxy_set_header Connection '';",
      'proxy_set_header Host $http_host;',
      `proxy_set_header ${HEADERS.requestId} $eis_request_id;`,
      'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
      'proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;',
      'proxy_request_buffering off;',
      'proxy_buffering off;',
      'proxy_connect_timeout 2s;',
      `proxy_send_timeout ${Math.ceil(limits.bodyTimeoutMs / 1000)}s;`,
      `proxy_read_timeout ${searchTimeoutS(limits)}s;`,
      '# What was sent once is not sent to a second gateway.',
      'proxy_next_upstream off;',
      ...(sticky ? ['add_header Set-Cookie $eis_cookie;'] : []),
      '# Uploads are bounded image by image, by the wrapper.',
      'client_max_body_size 0;',
      'location = /healthz { return 200 \'{"status":"alive"}\'; }',
      'location = /readyz { return 200 \'{"status":"ready"}\'; }',
      'location = /metrics { return 404; }',
      `location = /search { client_max_body_size ${limits.imageBytesMax + FORM_BYTES}; ${proxy.join(' ')} }`,
      '# Each gateway knows its own model alone.',
      `location = /models { add_header ${HEADERS.models} '${known.replaceAll(', ', ',')}'; ${proxy.join(' ')} }`,
      `location / { ${proxy.join(' ')} }`,
      '',
      'error_page 404 @unknown;',
      'error_page 413 @too_large;',
      'error_page 502 504 =503 @away;',
      `location @unknown { return 404 ${quote(json(404, 'EIS_MODEL_UNKNOWN', `There is no such model or page here. Models: ${known}.`))}; }`,
      `location @too_large { return 413 ${quote(json(413, 'EIS_IMAGE_TOO_LARGE', `The image is larger than ${limits.imageBytesMax / MEBIBYTE} MB (${limits.imageBytesMax} bytes). Send a smaller one.`))}; }`,
      `location @away { add_header Retry-After 1 always; return 503 ${quote(json(503, 'EIS_NOT_READY', 'No gateway of this model answers. Try again in a moment.'))}; }`,
    ]),
    '}',
  ];
}

function quote(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`;
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => (line === '' ? line : `  ${line}`));
}
