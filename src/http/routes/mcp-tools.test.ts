import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mcpErrors } from '../../dialects/mcp/errors.ts';
import { createTicket } from '../../limits/ticket.ts';
import type { PageRequest } from '../../pages/request.ts';
import { openExchange } from '../exchange.ts';
import { InFlight } from '../reservation.ts';
import { mcpTools, type McpToolParts } from './mcp-tools.ts';

test('fetch_page asks for Markdown of a bounded size, uses the lane of page fetches, and returns the page', async () => {
  const tool = mcpTools.find(({ path }) => path === 'fetch_page');
  assert.ok(tool !== undefined);
  const asked: PageRequest[] = [];
  const lanes: string[] = [];
  const ends: string[] = [];
  const parts = {
    inFlight: new InFlight(),
    keys: { isLive: () => true },
    admission: {
      reserve: ({ lane }: { lane: string }) => {
        lanes.push(lane);
        return Promise.resolve(
          createTicket(
            (keeps) => ends.push(keeps),
            () => {},
          ),
        );
      },
    },
    pages: {
      fetchPage: (request: PageRequest) => {
        asked.push(request);
        const about = { title: 'Example' };
        return Promise.resolve({
          ...{ status: 200, final_url: request.url, content_type: 'text/html', truncated: false },
          ...{ markdown: '# Example', about },
        });
      },
    },
  } as unknown as McpToolParts;
  const key = { id: 'k', label: 'k', createdAt: 0 };
  const exchange = Object.assign(openExchange({ route: tool, errorFormat: mcpErrors }), { key });
  const url = 'https://example.com/page';
  const signal = new AbortController().signal;
  const call = { input: { url }, bytes: 100, idempotencyKey: null, signal };
  assert.deepEqual(await tool.call(call, exchange, parts), {
    content: [
      {
        type: 'text',
        text: `{"status":200,"final_url":"${url}","content_type":"text/html","truncated":false,"title":"Example"}`,
      },
      { type: 'text', text: '# Example' },
    ],
  });
  assert.deepEqual(
    asked.map(({ format, max_bytes }) => [format, max_bytes]),
    [['markdown', 100_000]],
  );
  assert.deepEqual([lanes, ends, exchange.targetHost], [['fetch'], ['all'], 'example.com']);
});
