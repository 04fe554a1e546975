/** Writes the boxes of task lists as `<span data-task>[x]</span>`, because Readability drops form fields. */
import { all, around, create, type DomElement, named } from './dom.ts';

export function readTasks(body: DomElement): void {
  for (const box of all(body, isBox)) {
    const item = around(box, named('LI TD'));
    if (item === undefined) continue;
    const checked = box.hasAttribute('checked') || box.getAttribute('aria-checked') === 'true';
    box.replaceWith(create(box, 'span', { 'data-task': '' }, checked ? '[x]' : '[ ]'), ' ');
  }
}

function isBox(element: DomElement): boolean {
  return element.nodeName === 'INPUT'
    ? element.getAttribute('type') === 'checkbox'
    : element.getAttribute('role') === 'checkbox';
}
