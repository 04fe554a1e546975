/** The relay's errors outside a tool: JSON-RPC errors without an id, which a client of MCP can read next to the HTTP status. Pure. */
import type { RelayError } from '../../errors.ts';
import type { ErrorFormat } from '../dialect.ts';
import { native } from '../native.ts';

/** JSON-RPC's "Invalid Request", and the first of its codes for a server. */
const codes = { wrong: -32_600, refused: -32_000 } as const;

export const mcpErrors: ErrorFormat = {
  errorBody,
  errorEvents: (error, requestId) =>
    `event: message\ndata: ${JSON.stringify(errorBody(error, requestId))}\n\n`,
};

function errorBody(error: RelayError, requestId: string): object {
  const code = error.status === 400 ? codes.wrong : codes.refused;
  const data = native.errorBody(error, requestId);
  return { jsonrpc: '2.0', id: null, error: { code, message: error.message, data } };
}
