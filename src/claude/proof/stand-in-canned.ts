/** The demo's answer. It says what it is wherever a person can see it, and takes enough from the prompt to show that the prompt arrived. Pure. */
import { lastUserTexts } from './stand-in-messages.ts';
import type { Reply } from './stand-in-reply.ts';
import type { SeenRequest } from './stand-in.ts';

export const cannedLabel = '[demo: canned answer, no model was asked]';

export function cannedReply(request: SeenRequest): Reply {
  // The CLI puts notes of its own (the date) before the prompt: the prompt is the last text.
  const prompt = request.json === undefined ? '' : (lastUserTexts(request.json).at(-1) ?? '');
  const words = prompt.split(/\s+/u).filter((word) => word !== '').length;
  const bytes = Buffer.byteLength(prompt);
  return {
    kind: 'text',
    text: [
      `${cannedLabel} `,
      `Your prompt arrived: ${words} ${words === 1 ? 'word' : 'words'}, ${bytes} bytes. `,
      'It went through the locked Claude Code CLI to a stand-in on this machine. ',
      'Without --demo, Claude answers here.',
    ],
    deltaDelayMs: 40,
  };
}
