/** The options, the format, the thinking and the tools of Ollama's API -> those of a conversation. Pure. */
import type { Conversation, Tool } from '../../conversation.ts';
import { given } from '../given.ts';
import { readFunctions } from '../openai/tools.ts';
import { type CommonRequest, type OllamaTool } from './request.ts';

export function readSettings(request: CommonRequest, ignored: Set<string>): Partial<Conversation> {
  return { ...readOptions(request, ignored), ...readThinking(request), ...readFormat(request) };
}

function readOptions({ options }: CommonRequest, ignored: Set<string>): Partial<Conversation> {
  const { num_predict: most, temperature, top_p: topP, top_k: topK, stop } = given(options ?? {});
  // The model's scale ends at 1.
  if (temperature !== undefined && temperature > 1) ignored.add('options.temperature');
  const stops = typeof stop === 'string' ? [stop] : (stop ?? []);
  return given({
    maxTokens: most !== undefined && most > 0 ? most : undefined,
    temperature: temperature === undefined ? undefined : Math.min(temperature, 1),
    topP,
    topK: topK === 0 ? undefined : topK,
    stopSequences: stops.length > 0 ? stops : undefined,
  });
}

/** `high` is the API's own effort where a request has none. Home Assistant sends `false` by default, to every model. */
function readThinking({ think }: CommonRequest): Pick<Conversation, 'effort' | 'thinking'> {
  if (think === undefined || think === null) return {};
  if (think === false) return { thinking: { type: 'off' } };
  return { effort: think === true ? 'high' : think };
}

function readFormat({ format }: CommonRequest): Pick<Conversation, 'schema'> {
  if (format === undefined || format === null || format === '') return {};
  return { schema: format === 'json' ? { type: 'object' } : format };
}

/** Throws a `bad_request` that names the place. */
export function readTools(offered: readonly OllamaTool[] | null | undefined): { tools?: Tool[] } {
  const tools = readFunctions(
    (offered ?? []).map((tool, index) => ({ path: ['tools', index, 'function'], given: tool.function })),
  );
  return tools.length === 0 ? {} : { tools };
}
