/** The one structured log line of a request. Pure. */
import { iso } from '../time.ts';
import { storable, type RequestRecord } from './record.ts';

const hostShape = /^[0-9a-z.:[\]_-]{1,253}$/;
const labelShape = /^[0-9A-Za-z._-]{1,64}$/;

/**
 * The ledger's columns without the empty ones, with the key's label and the host of a fetched page. All values pass the ledger's
 * gate, so a log holds no more content than the database.
 */
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
