/** Where a request is wrong, as the OpenAI API writes it: `messages[3].content[1].image_url`. Pure. */
import { RelayError } from '../../errors.ts';
import { shortPath, type Path } from '../problem.ts';

export function problem(path: Path, predicate: string): RelayError {
  if (path.length === 0) return new RelayError('bad_request', `The request body ${predicate}.`);
  const param = shortPath(path)
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${step}`))
    .join('');
  return new RelayError('bad_request', `'${param}' ${predicate}.`, { param });
}

export function refuse(path: Path, predicate: string): never {
  throw problem(path, predicate);
}
