/** Images of Ollama's API, which are base64 without a type: their first bytes name it. Pure. */
import type { ImageBlock } from '../../conversation.ts';
import { refuse } from '../openai/problem.ts';
import type { Path } from '../problem.ts';

type ImageType = ImageBlock['source']['media_type'];

/** In base64, whole groups of the first bytes. */
const signatures: readonly (readonly [string, ImageType])[] = [
  ['iVBORw0K', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['UklGR', 'image/webp'],
];

export function imageBlocks(images: readonly string[] | null | undefined, path: Path): ImageBlock[] {
  return (images ?? []).map((image, index) => {
    const at = [...path, index];
    // Some clients pass on the data URL of a file picker.
    const data = image.replace(/^data:[^,]{0,100},/i, '');
    if (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(data)) refuse(at, 'is not valid base64');
    const type = signatures.find(([start]) => data.startsWith(start))?.[1];
    if (type === undefined) refuse(at, 'must be a PNG, JPEG, GIF or WebP image');
    return { type: 'image', source: { type: 'base64', media_type: type, data } };
  });
}
