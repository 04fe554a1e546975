/** The content of an input item -> content blocks. Pure. */
import { z } from 'zod';
import type { TextBlock, UserBlock } from '../../../conversation.ts';
import type { Path } from '../../problem.ts';
import { fileBlock, imageBlock } from '../parts.ts';
import { refuse } from '../problem.ts';

const part = z.discriminatedUnion('type', [
  z.object({
    type: z.enum(['input_text', 'output_text', 'text']),
    text: z.string(),
    // Of an answer that is sent back.
    annotations: z.unknown().optional(),
    logprobs: z.unknown().optional(),
  }),
  z.object({ type: z.literal('refusal'), refusal: z.string() }),
  z.object({
    type: z.literal('input_image'),
    /** A data URL: the relay fetches nothing. */
    image_url: z.string().nullish(),
    file_id: z.string().nullish(),
    detail: z.string().nullish(),
  }),
  z.object({
    type: z.literal('input_file'),
    /** A data URL of a PDF or of plain text, or a PDF in base64. */
    file_data: z.string().nullish(),
    filename: z.string().nullish(),
    file_id: z.string().nullish(),
    file_url: z.string().nullish(),
  }),
]);

export const content = z
  .union([z.string(), z.array(part)])
  .nullish()
  .transform((given) => given ?? '');
type Content = z.infer<typeof content>;
type Part = Exclude<Content, string>[number];
type ShownBlock = Exclude<UserBlock, { type: 'tool_result' }>;

/** Throws for an image or a file. A blank text is left out: the model accepts none. */
export function textsOf(given: Content, path: Path): TextBlock[] {
  if (typeof given === 'string') return textBlock(given);
  return given.flatMap((each, index) => {
    const text = textOf(each);
    return text === undefined ? refuse([...path, index, 'type'], 'must be a text here') : textBlock(text);
  });
}

export function blocksOf(given: Content, path: Path, ignored: Set<string>): ShownBlock[] {
  if (typeof given === 'string') return textBlock(given);
  return given.flatMap((each, index): ShownBlock[] => {
    const at = [...path, index];
    if (each.type === 'input_image') return [image(each, at, ignored)];
    if (each.type === 'input_file') return [file(each, at)];
    return textBlock(textOf(each) ?? '');
  });
}

function textOf(given: Part): string | undefined {
  if (given.type === 'refusal') return given.refusal;
  return given.type === 'input_image' || given.type === 'input_file' ? undefined : given.text;
}

function textBlock(text: string): TextBlock[] {
  return text.trim() === '' ? [] : [{ type: 'text', text }];
}

function image(given: Extract<Part, { type: 'input_image' }>, path: Path, ignored: Set<string>) {
  requireNoFileId(given, path, 'image_url');
  if ((given.detail ?? 'auto') !== 'auto') ignored.add('input_image.detail');
  return imageBlock(given.image_url ?? refuse([...path, 'image_url'], 'is required'), [...path, 'image_url']);
}

function file(given: Extract<Part, { type: 'input_file' }>, path: Path) {
  requireNoFileId(given, path, 'file_data');
  if ((given.file_url ?? undefined) !== undefined) {
    refuse(
      [...path, 'file_url'],
      'is not supported: the relay fetches nothing for a request; send file_data',
    );
  }
  return fileBlock(given, path);
}

function requireNoFileId(given: { file_id?: string | null | undefined }, path: Path, instead: string): void {
  if ((given.file_id ?? undefined) === undefined) return;
  refuse([...path, 'file_id'], `names an uploaded file, but the relay keeps no files: send ${instead}`);
}
