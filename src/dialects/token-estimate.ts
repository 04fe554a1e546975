/**
 * About how many tokens a conversation has, without asking anybody. Pure.
 *
 * The tokenizers of today's models are not public. The rates fit the one that Anthropic published for Claude 2, times 1.3: its
 * reference says that the models since Opus 4.7 make about 30 percent more tokens of a text. docs/api.md has how far that is off.
 */
import type { AssistantBlock, Conversation, Tool, UserBlock } from '../conversation.ts';

/** How to count the parts of a conversation. */
type Counts = {
  text: (text: string) => number;
  image: number;
  page: number;
  /** Something encrypted: its length says little. */
  opaque: (data: string) => number;
};

const ofMessage = 5;
/** The API explains tools to the model, once: in 346 tokens of the older models, as its reference says. */
const ofToolUse = 450;
/** The API makes 1,400 of an image of 1,024 by 1,024 pixels, and 4,800 at most. */
const mostOfImage = 4800;
/** A full page is its text and its picture. */
const likely: Counts = { text: estimateText, image: 2000, page: 2400, opaque: () => 0 };
/** No token has less than a byte. */
const most: Counts = {
  text: (text) => Buffer.byteLength(text),
  image: mostOfImage,
  page: 3000 + mostOfImage,
  opaque: (data) => data.length,
};
/** The API refuses more. */
const mostPages = 600;
/** Of a PDF whose pages are packed and cannot be counted, in characters of base64. */
const pageSize = 40_000;

export function estimateTokens(conversation: Conversation): number {
  return Math.ceil(tokensOf(conversation, likely));
}

/** More than a conversation has, unless it has a PDF whose pages cannot be counted. */
export function mostTokens(conversation: Conversation): number {
  return tokensOf(conversation, most);
}

function tokensOf({ system, messages, tools = [], schema }: Conversation, counts: Counts): number {
  const ofJson = (value: unknown): number => counts.text(JSON.stringify(value));
  const ofTool = ({ name, description = '', input_schema, input_examples = [] }: Tool): number =>
    counts.text(name) + counts.text(description) + ofJson(input_schema) + sum(input_examples, ofJson);
  const ofBlock = (block: UserBlock | AssistantBlock): number => {
    switch (block.type) {
      case 'text':
        return counts.text(block.text);
      case 'image':
        return counts.image;
      case 'document': {
        const { source, title = '', context = '' } = block;
        const { data } = source;
        const content = source.type === 'text' ? counts.text(data) : counts.page * pagesOf(data);
        return content + counts.text(title) + counts.text(context);
      }
      case 'tool_result':
        return typeof block.content === 'string'
          ? counts.text(block.content)
          : sum(block.content ?? [], ofBlock);
      case 'tool_use':
        return counts.text(block.name) + ofJson(block.input);
      case 'thinking':
        return counts.text(block.thinking);
      case 'redacted_thinking':
        return counts.opaque(block.data);
    }
  };
  return (
    sum(system, counts.text) +
    sum(messages, ({ content }) => ofMessage + sum<UserBlock | AssistantBlock>(content, ofBlock)) +
    (tools.length === 0 ? 0 : ofToolUse + sum(tools, ofTool)) +
    (schema === undefined ? 0 : ofJson(schema))
  );
}

/** About how many tokens a text has; not a whole number. */
export function estimateText(text: string): number {
  let tokens = 0;
  let before: Kind = 'space';
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    const kind = kindOf(code);
    tokens += rates[kind];
    if (kind !== before && (kind === 'digit' || kind === 'sign')) tokens += ofRun;
    before = kind;
  }
  return tokens;
}

/** Tokens of a code unit. White space is part of the token that follows it. */
const rates = {
  space: 0,
  letter: 0.34,
  digit: 0.3,
  sign: 0,
  twoBytes: 1,
  threeBytes: 1.75,
  half: 2,
} as const;
/** Of a number, or of signs without a space between them. */
const ofRun = 1.3;

type Kind = keyof typeof rates;

function kindOf(code: number): Kind {
  if (code <= 0x20) return 'space';
  const lower = code | 0x20;
  if (lower >= 0x61 && lower <= 0x7a) return 'letter';
  if (code >= 0x30 && code <= 0x39) return 'digit';
  if (code < 0x80) return 'sign';
  if (code < 0x800) return 'twoBytes';
  return code >= 0xd800 && code < 0xe000 ? 'half' : 'threeBytes';
}

function pagesOf(base64: string): number {
  const pdf = Buffer.from(base64, 'base64').toString('latin1');
  const counted = pdf.match(/\/Type\s?\/Page(?!s)/g)?.length ?? Math.ceil(base64.length / pageSize);
  return Math.min(counted, mostPages);
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
