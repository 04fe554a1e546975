/**
 * A model's text for a terminal: without the control characters that a terminal obeys (colours, titles, the clipboard, the
 * cursor), which whoever wrote what the model read could have put there. Line ends and tabs stay. Works on parts of a text, too.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '');
}
