/** The one structured log line of a request. Pure. */
import { iso } from '../time.ts';
import { storable } from './record.ts';
import type { RequestRecord } from './record.ts';

/** As the ledger's columns, without the empty ones, with the key's label and the time as text. */
export type AuditLine = Record<string, string | number | boolean>;

const hostShape = /^[0-9a-z.:[\]_-]{1,253}$/;
const labelShape = /^[0-9A-Za-z._-]{1,64}$/;

/** What to hand to the logger: the same closed and cleaned fields that the database gets, so a log holds no more than it. */
export function auditLine(record: RequestRecord): AuditLine {
  const { at, client_gone, ...columns } = storable(record);
  const line: AuditLine = { at: iso(at) };
  for (const [name, value] of Object.entries(columns)) {
    if (value !== null) line[name] = value;
  }
  if (record.keyLabel !== undefined && labelShape.test(record.keyLabel)) line['key_label'] = record.keyLabel;
  if (record.targetHost !== undefined && hostShape.test(record.targetHost)) line['host'] = record.targetHost;
  if (client_gone === 1) line['client_gone'] = true;
  return line;
}
