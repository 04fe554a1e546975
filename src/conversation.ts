/** What a turn asks the model and what the model answers, in the shapes of the Messages API, for routes, dialects and the CLI. */
import type { WrittenJson } from './exact-json.ts';

/** The levels that the CLI passes on to the model (2.1.197, 2.1.330); it silently ignores any other. */
export const effortLevels = ['low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof effortLevels)[number];

/** A breakpoint of the prompt cache, behind the place that has it. */
export type CacheMark = { type: 'ephemeral'; ttl?: '5m' | '1h' };
type Markable = { cache_control?: CacheMark };

/** A text block of the Messages API. `citations` of an earlier answer are passed on unchanged. */
export type TextBlock = Markable & {
  type: 'text';
  text: string;
  citations?: readonly Record<string, unknown>[];
};

export const imageTypes = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'] as const;

/** `data` is base64. */
export type ImageBlock = Markable & {
  type: 'image';
  source: { type: 'base64'; media_type: (typeof imageTypes)[number]; data: string };
};

export type DocumentBlock = Markable & {
  type: 'document';
  source:
    | { type: 'base64'; media_type: 'application/pdf'; data: string }
    | { type: 'text'; media_type: 'text/plain'; data: string };
  title?: string;
  context?: string;
  citations?: { enabled: boolean };
};

export type ToolResultBlock = Markable & {
  type: 'tool_result';
  tool_use_id: string;
  content?: string | (TextBlock | ImageBlock | DocumentBlock)[];
  is_error?: boolean;
};

/** `input` is any object that the model wrote. */
export type ToolUseBlock = Markable & {
  type: 'tool_use';
  id: string;
  name: string;
  input: Record<string, unknown>;
};
export type ThinkingBlock = { type: 'thinking'; thinking: string; signature: string };
export type RedactedThinkingBlock = { type: 'redacted_thinking'; data: string };

export type UserBlock = TextBlock | ImageBlock | DocumentBlock | ToolResultBlock;
export type AssistantBlock = TextBlock | ToolUseBlock | ThinkingBlock | RedactedThinkingBlock;

export type Message =
  | { role: 'user'; content: readonly UserBlock[] }
  | { role: 'assistant'; content: readonly AssistantBlock[] }
  /** System text that applies from here on. */
  | { role: 'system'; content: readonly TextBlock[] };

/** A caller's tool: the model can call it, and the caller runs it. */
export type Tool = Markable & {
  name: string;
  description?: string;
  /** JSON Schema of an object. */
  input_schema: Record<string, unknown>;
  strict?: boolean;
  /** Inputs that satisfy the schema, for the model to learn from. */
  input_examples?: readonly Record<string, unknown>[];
};

export type ToolChoice =
  | { type: 'auto' | 'any'; disable_parallel_tool_use?: boolean }
  | { type: 'tool'; name: string; disable_parallel_tool_use?: boolean }
  | { type: 'none' };

export type Thinking =
  | { type: 'enabled'; budget_tokens: number; display?: 'summarized' | 'omitted' }
  | { type: 'adaptive'; display?: 'summarized' | 'omitted' }
  | { type: 'between_tools' }
  | { type: 'disabled' }
  /** Nothing is sent, which no model refuses: newer ones refuse `disabled`. */
  | { type: 'off' };

/** One request to the model: the fields that its route's schema let pass. Where a field is absent, the CLI's default applies. */
export type Conversation = {
  /** The system prompt's blocks; empty for none. */
  system: readonly string[];
  /** In order. Apart from system messages, the last one is the user's. Neighbours of one role count as one message. */
  messages: readonly Message[];
  effort?: Effort;
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  topK?: number;
  stopSequences?: readonly string[];
  thinking?: Thinking;
  tools?: readonly Tool[];
  toolChoice?: ToolChoice;
  /** The caller's mark in the system prompt, and one for the end of the conversation, wherever that is. */
  systemMark?: CacheMark;
  endMark?: CacheMark;
  /**
   * JSON Schema that the answer must satisfy. The answer is then one text block whose text is the JSON value, with the stop reason
   * `end_turn`, streamed or not. A value that does not satisfy the schema is the error `invalid_output`. An answer that stopped
   * early has the model's stop reason, the text so far, and no `Answer.structured`.
   */
  schema?: Record<string, unknown>;
};

/** Token counts of the Messages API. */
export const noTokens = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};
export type TokenUsage = typeof noTokens;

/** An event of the Messages API's stream, unchanged (`message_start`, `content_block_delta`, ...). */
export type ModelEvent = { type: string; [field: string]: unknown };

/** How a turn came by its process: a hot process of its app, a spare, or a new process. */
export const turnStarts = ['hot', 'claim', 'spawn'] as const;
export type TurnStart = (typeof turnStarts)[number];

/** The whole message of the model. */
export type Answer = {
  /** The model's id of the message, `msg_...`. */
  messageId: string;
  /** Every block in order, with unknown fields (citations) unchanged; a tool's input is a `WrittenJson`. */
  content: readonly ({ type: string } & Record<string, unknown>)[];
  /** The text blocks' texts, joined. */
  text: string;
  /** With `Conversation.schema`: the value, which satisfies it. */
  structured?: WrittenJson;
  stopReason: string;
  /** The one of `stopSequences` that ended the answer. */
  stopSequence: string | null;
  /** The API's details of a refusal, unchanged. */
  stopDetails?: unknown;
  /** The id of the model that answered. */
  resolvedModel: string;
  usage: TokenUsage;
  /** The last `usage` object of the stream merged over the first one, with every count of the upstream. */
  rawUsage: Record<string, unknown>;
  /** Null when the turn was ended before the CLI reported it. */
  costUsd: number | null;
};
