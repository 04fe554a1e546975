/** The answers of `/v1/complete` and `/v1/fetch`, and the relay's errors, as results of a tool. Pure. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import type { CompleteJsonResponse, PageResponse } from '../../api.ts';
import type { RelayError } from '../../errors.ts';
import { native } from '../native.ts';

/** With a schema, the value is also the structured content. */
export function answerResult({ ok: _ok, result, ...facts }: CompleteJsonResponse): CallToolResult {
  const texts = [typeof result === 'string' ? result : JSON.stringify(result)];
  // The model that reads the result would take a part for the whole.
  if (!wholeReasons.has(facts.stop_reason)) texts.push(`[The answer ends here: ${facts.stop_reason}]`);
  return {
    content: texts.map(textOf),
    ...(isObject(result) && { structuredContent: result }),
    _meta: { 'claude-relay/answer': facts },
  };
}

const wholeReasons: ReadonlySet<string> = new Set(['end_turn', 'stop_sequence', 'tool_use']);

/** What is known about the page in one line of JSON, then the page. */
export function pageResult(page: PageResponse): CallToolResult {
  const { html, text, markdown, body, metadata, status, final_url, content_type, truncated, about } = page;
  const content = html ?? text ?? markdown ?? body ?? JSON.stringify(metadata);
  return {
    content: [JSON.stringify({ status, final_url, content_type, truncated, ...about }), content].map(textOf),
  };
}

export function errorResult(error: RelayError, requestId: string): CallToolResult {
  const { retryAfter } = error.details;
  // A limit's sentence ends with it.
  const again =
    retryAfter === undefined || /try again in/i.test(error.message) ? '' : ` Try again in ${retryAfter} s.`;
  return {
    isError: true,
    content: [textOf(`${error.message}${again}`)],
    _meta: { 'claude-relay/error': native.errorBody(error, requestId) },
  };
}

function textOf(text: string): { type: 'text'; text: string } {
  return { type: 'text', text };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
