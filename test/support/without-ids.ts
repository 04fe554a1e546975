/** A request as it reached the model, without what differs from process to process: ids and the throwaway directory. */
import type { SeenRequest } from './failing-model.ts';

export function withoutIds(request: SeenRequest): { headers: Record<string, unknown>; body: string } {
  const scrub = (text: string): string =>
    text
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
      .replaceAll(/(?:\/[\w.-]+)*\/relay-\d+-\w{6}/g, '<dir>')
      // At the API itself: a checksum of the request, the ids of the answer before, and the number of the turn (2.1.197, 2.1.332).
      .replaceAll(/\b(cch|cc_turn_index)=\w+/g, '$1=<id>')
      .replaceAll(/ cc_prev_req=\w+;/g, '')
      .replaceAll(/"previous_message_id":(?:null|"\w+")/g, '"previous_message_id":<id>');
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, scrub(String(value))]),
  );
  // The stand-in of another run has another port, and the body another length.
  delete headers['host'];
  delete headers['content-length'];
  return { headers, body: scrub(request.body) };
}

/** The CLI process that sent it. */
export function sessionOf(request: SeenRequest | undefined): string {
  return String(request?.headers['x-claude-code-session-id']);
}
