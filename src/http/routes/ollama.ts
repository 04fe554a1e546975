/**
 * Ollama's API, on a separate port for one key. Its clients send no key: every program that reaches the port uses it, and a page in a
 * browser must not reach it.
 */
import { createHash } from 'node:crypto';
import { ollamaChat, ollamaErrors, ollamaGenerate } from '../../dialects/ollama/ollama.ts';
import { taggedName, untaggedName } from '../../dialects/ollama/model-name.ts';
import { RelayError } from '../../errors.ts';
import type { OllamaAddress } from '../../keys/key.ts';
import type { Keys } from '../../keys/store.ts';
import { readJson, type BodyLimits } from '../body.ts';
import type { Connections } from '../connections.ts';
import { headersOf, respond, type Exchange, type KeyedExchange } from '../exchange.ts';
import { requireProgram } from '../no-browser.ts';
import type { Route, Site } from '../route.ts';
import { asks, type GenerateParts } from './generate.ts';
import { chooseModel, created, modelsOf, type ModelParts, type ModelSettings } from './models.ts';
import { plainPath } from './paths.ts';

export type OllamaParts = GenerateParts &
  ModelParts & { keys: Pick<Keys, 'byId'>; connections: Pick<Connections, 'know'> };

/** Clients compare it with the least version that they need. This one has all that these routes have. */
const apiVersion = '0.12.0';

/** Every model of Claude Code reads at least as much. */
const contextLength = 200_000;

const routes: readonly Route<OllamaParts>[] = [
  { method: 'GET', path: '/', handler: running },
  { method: 'GET', path: '/api/version', handler: version },
  { method: 'GET', path: '/api/tags', scope: 'models', handler: tags },
  {
    method: 'GET',
    path: '/api/ps',
    scope: 'models',
    handler: (_request, exchange) => respond(exchange, 200, { models: [] }),
  },
  { method: 'POST', path: '/api/show', scope: 'models', handler: show },
  { path: '/api/chat', ledger: 'ollama_chat', ...asks(ollamaChat) },
  { path: '/api/generate', ledger: 'ollama_generate', ...asks(ollamaGenerate) },
];

/** Every request is that of the key, as long as the key has this address. */
export function ollamaSite(keyId: string, address: OllamaAddress): Site<OllamaParts> {
  return {
    routes,
    pathOf: plainPath,
    errorFormatOf: () => ollamaErrors,
    nothingAt: () =>
      new RelayError(
        'not_found',
        'This path does not exist here. The relay has /api/chat, /api/generate, /api/tags, /api/show, /api/ps and /api/version: no embeddings, and no models to pull, create or delete. The paths below /v1 are on the port for requests with a key.',
      ),
    admit({ headers }, exchange, { keys, connections }) {
      requireProgram(headers, address);
      const key = keys.byId(keyId);
      if (key?.ollama?.host !== address.host || key.ollama.port !== address.port) throw notServed();
      exchange.key = key;
      if (exchange.outgoing !== undefined) connections.know(exchange.outgoing.req.socket);
    },
    keyOf: (_request, { key }) => key,
  };
}

function notServed(): RelayError {
  return new RelayError(
    'unauthorized',
    'The key of this port is revoked, disabled or has expired. On the host, claude-relay key list shows the keys.',
  );
}

function running(_request: Request, exchange: Exchange): Response {
  const text = 'Ollama is running';
  exchange.bytesOut = text.length;
  return new Response(text, { headers: headersOf(exchange, 'text/plain; charset=utf-8') });
}

function version(_request: Request, exchange: Exchange): Response {
  return respond(exchange, 200, { version: apiVersion });
}

function tags(_request: Request, exchange: KeyedExchange, { config }: ModelParts): Response {
  return respond(exchange, 200, { models: modelsOf(exchange.key, config.allowedModels).map(rowOf) });
}

const details = {
  parent_model: '',
  format: 'claude',
  family: 'claude',
  families: ['claude'],
  parameter_size: '',
  quantization_level: '',
};

const modified = new Date(created).toISOString();

function rowOf(model: string): object {
  const name = taggedName(model);
  const digest = createHash('sha256').update(model).digest('hex');
  return { name, model: name, modified_at: modified, size: 0, digest, details };
}

async function show(
  request: Request,
  exchange: KeyedExchange,
  { config }: { config: ModelSettings & BodyLimits },
): Promise<Response> {
  const { value, bytes } = await readJson(request, config);
  exchange.bytesIn = bytes;
  // `name` is the older name of the field.
  const { model, name } = (value ?? {}) as { model?: unknown; name?: unknown };
  const asked = model ?? name;
  if (typeof asked !== 'string') throw new RelayError('bad_request', "'model' must be a string.");
  chooseModel(untaggedName(asked), exchange.key, config, 'not_found');
  return respond(exchange, 200, {
    modelfile: '',
    parameters: '',
    template: '',
    license: '',
    details,
    model_info: { 'general.architecture': 'claude', 'claude.context_length': contextLength },
    capabilities: ['completion', 'vision', 'tools', 'thinking'],
    modified_at: modified,
  });
}
