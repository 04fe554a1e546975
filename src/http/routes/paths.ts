/** What the path of a request means: one path for every form of a base URL, and the paths of other APIs that the relay lacks. Pure. */
import { RelayError } from '../../errors.ts';

/**
 * A client adds `/v1/messages`, `/messages` or `/v1/chat/completions` to its base URL, and the base URL can end with `/v1` or a slash.
 * `outside`: the first parts of the paths that are not below /v1.
 */
export function canonicalPath(path: string, outside: ReadonlySet<string>): string {
  const plain = plainPath(path);
  if (outside.has(firstPart(plain))) return plain;
  return `/v1${plain.replace(/^(?:\/v1)+(?=\/|$)/, '')}`;
}

/** Without the slashes that a base URL with a slash at its end, or a path with one, adds. */
export function plainPath(path: string): string {
  return path.replaceAll(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');
}

export function firstPart(path: string): string {
  return path.split('/', 2)[1] ?? '';
}

const wholeConversation = 'It keeps no conversations and runs no tools: send the whole conversation to';
const byOpenAI = '/v1/responses or /v1/chat/completions';
const textOnly = 'The model answers with text only.';

const ollamaPort =
  "Ollama's API has a separate port without a key: on the host, claude-relay key set <label> --ollama-port 11434 opens it.";

/** Ollama's paths, as `canonicalPath` makes them. */
const belowApi = '/v1/api/';
const ofOllama = ['chat', 'generate', 'tags', 'show', 'version', 'ps', 'embed', 'embeddings'];

/** Paths of the APIs of OpenAI, Anthropic and Ollama -> why the relay lacks them, or what to use instead. */
const lacking: Readonly<Record<string, string>> = {
  '/v1/messages/batches':
    'Send the requests one by one to /v1/messages; the header "Prefer: respond-async" makes each one a job.',
  '/v1/batches': 'Send the requests one by one to /v1/responses; "background": true makes each one a job.',
  '/v1/embeddings':
    'Claude makes no embeddings: give the client another base URL and another model for them.',
  '/v1/rerank': 'Claude ranks no documents: give the client another base URL and another model for this.',
  '/v1/completions': 'Use /v1/chat/completions: in LangChain, ChatOpenAI in place of OpenAI.',
  '/v1/files': 'It keeps no files: send an image or a document in base64 in the request that is about it.',
  '/v1/uploads': 'It keeps no files: send an image or a document in base64 in the request that is about it.',
  '/v1/images': textOnly,
  '/v1/videos': textOnly,
  '/v1/audio': `The model neither hears nor speaks: use another service for audio.`,
  '/v1/realtime': `Use ${byOpenAI} with "stream": true.`,
  '/v1/responses/compact': 'Send an item of the type compaction_trigger as the last one to /v1/responses.',
  '/v1/responses/input_tokens':
    'Send the conversation to /v1/messages/count_tokens, or read the usage of an answer.',
  '/v1/moderations': 'Claude has no moderation: use another service for it.',
  '/v1/assistants': `${wholeConversation} ${byOpenAI}.`,
  '/v1/threads': `${wholeConversation} ${byOpenAI}.`,
  '/v1/conversations': `${wholeConversation} ${byOpenAI}.`,
  '/v1/vector_stores': 'It keeps no files: send the text in the request that is about it.',
  '/v1/containers': 'It runs no code: give the model a tool that your program runs.',
  '/v1/skills': 'It runs no code: give the model a tool that your program runs.',
  '/v1/agents': `${wholeConversation} /v1/messages.`,
  '/v1/sessions': `${wholeConversation} /v1/messages.`,
  '/v1/fine_tuning': 'Claude cannot be trained here: describe the task in the system prompt.',
  '/v1/evals': 'Run the evaluation in your program.',
  ...Object.fromEntries(ofOllama.map((name) => [belowApi + name, ollamaPort])),
};

export const lackingPaths: readonly string[] = Object.keys(lacking);

/** The path of another API that `path` is or is below, if the relay lacks it. */
export function lackingPath(path: string): string | undefined {
  return lackingPaths.find((each) => path === each || path.startsWith(`${each}/`));
}

export function isOfOllama(path: string): boolean {
  return lackingPath(path)?.startsWith(belowApi) === true;
}

export function nothingAt(path: string): RelayError {
  const name = lackingPath(path);
  return new RelayError(
    'not_found',
    name === undefined
      ? 'This path does not exist. GET /openapi.json lists the paths of this relay.'
      : `This relay has no ${isOfOllama(name) ? name.replace('/v1', '') : name}. ${lacking[name]}`,
  );
}
