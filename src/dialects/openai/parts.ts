/** Parts of a message of the OpenAI dialect -> content blocks. Pure. */
import { isUtf8 } from 'node:buffer';
import {
  imageTypes,
  type AssistantBlock,
  type DocumentBlock,
  type ImageBlock,
  type TextBlock,
  type UserBlock,
} from '../../conversation.ts';
import { markOf } from '../cache-mark.ts';
import { refuse } from './problem.ts';
import type { RefusalPart, UserPart } from './request.ts';
import type { Path } from '../problem.ts';

/**
 * Texts and refusals as text blocks. A blank text is left out: the model accepts none.
 */
export function textBlocks(content: string | readonly TextLike[] | null | undefined): TextBlock[] {
  const parts: readonly TextLike[] =
    typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []);
  return parts.flatMap((part) => {
    const text = part.type === 'text' ? part.text : part.refusal;
    return text.trim() === '' ? [] : [{ type: 'text', text, ...markOf(part) }];
  });
}

type TextLike = Extract<UserPart, { type: 'text' }> | RefusalPart;

/** A mark of the message stands on its last block. */
export function withMark<Block extends UserBlock | AssistantBlock>(
  blocks: readonly Block[],
  message: Parameters<typeof markOf>[0],
): Block[] {
  const last = blocks.at(-1);
  return last === undefined ? [] : [...blocks.slice(0, -1), { ...last, ...markOf(message) }];
}

export function userBlocks(
  content: string | readonly UserPart[],
  path: Path,
  ignored: Set<string>,
): UserBlock[] {
  if (typeof content === 'string') return textBlocks(content);
  return content.flatMap((part, index): UserBlock[] => {
    const at = [...path, index];
    if (part.type === 'text') return textBlocks([part]);
    if (part.type === 'image_url') {
      if ((part.image_url.detail ?? 'auto') !== 'auto') ignored.add('image_url.detail');
      return withMark([imageBlock(part.image_url.url, [...at, 'image_url', 'url'])], part);
    }
    return withMark([fileBlock(part.file, [...at, 'file'])], part);
  });
}

export function imageBlock(url: string, path: Path): ImageBlock {
  const data = readDataUrl(url, path, 'an image');
  const named = data.type === 'image/jpg' ? 'image/jpeg' : data.type;
  const type = imageTypes.find((known) => known === named);
  if (type === undefined) refuse(path, `must be an image of ${imageTypes.join(', ')}`);
  return { type: 'image', source: { type: 'base64', media_type: type, data: data.base64 } };
}

export function fileBlock(file: Extract<UserPart, { type: 'file' }>['file'], path: Path): DocumentBlock {
  if ((file.file_id ?? undefined) !== undefined) {
    refuse([...path, 'file_id'], 'names an uploaded file, but the relay keeps no files: send file_data');
  }
  const at = [...path, 'file_data'];
  if (typeof file.file_data !== 'string') refuse(at, 'is required');
  const title = (file.filename ?? '').trim() === '' ? {} : { title: file.filename as string };
  // "JVBERi" is "%PDF-" in base64: the SDK's own description of the field has no data URL around it.
  const { type, base64 } = file.file_data.startsWith('JVBERi')
    ? { type: 'application/pdf', base64: checkBase64(file.file_data, at) }
    : readDataUrl(file.file_data, at, 'a PDF');
  if (type === 'application/pdf') {
    return { type: 'document', source: { type: 'base64', media_type: type, data: base64 }, ...title };
  }
  if (type !== 'text/plain') refuse(at, 'must be application/pdf or text/plain');
  const text = readText(base64, at);
  return { type: 'document', source: { type: 'text', media_type: type, data: text }, ...title };
}

/** RFC 2397, in base64 only. */
function readDataUrl(url: string, path: Path, what: string): { type: string; base64: string } {
  if (!/^data:/i.test(url)) {
    const example = 'data:<type>;base64,<data>';
    refuse(path, `must hold ${what} as a data URL (${example}): the relay fetches nothing for a request`);
  }
  const comma = url.indexOf(',');
  const [type = '', ...parameters] = url.slice('data:'.length, comma).toLowerCase().split(';');
  if (comma === -1 || parameters.at(-1)?.trim() !== 'base64') refuse(path, 'must be a data URL in base64');
  return { type: type.trim(), base64: checkBase64(url.slice(comma + 1), path) };
}

function checkBase64(data: string, path: Path): string {
  if (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(data)) refuse(path, 'is not valid base64');
  return data;
}

function readText(base64: string, path: Path): string {
  const bytes = Buffer.from(base64, 'base64');
  if (!isUtf8(bytes)) refuse(path, 'is not text in UTF-8');
  const text = bytes.toString();
  if (text.trim() === '') refuse(path, 'must not be blank');
  return text;
}
