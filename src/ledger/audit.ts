/** The one structured log line of a request. Pure. */
import { iso } from '../time.ts';
import { storable, type RequestRecord } from './record.ts';

const hostShape = /^[0-9a-z.:[\]_-]{1,253}$/;
const labelShape = /^[0-9A-Za-z._-]{1,64}$/;

/** The row without its empty columns, with the key's label and a fetched page's host. As in the database, there is no content. */
export function auditLine(record: RequestRecord): Record<string, string | number | boolean> {
  const { at, client_gone, ...columns } = storable(record);
  const { key_label = '', host = '' } = record;
  const filled = Object.entries(columns).filter(
    (entry): entry is [string, string | number] => entry[1] !== null,
  );
  return {
    at: iso(at),
    ...Object.fromEntries(filled),
    ...(labelShape.test(key_label) && { key_label }),
    ...(hostShape.test(host) && { host }),
    ...(client_gone === 1 && { client_gone: true }),
  };
}
