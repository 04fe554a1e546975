/** POST /v1/complete: identify -> validate -> reserve -> run -> settle -> answer. */
import { completeRequest, explain, type CompleteJsonResponse, type CompleteTextResponse } from '../api.ts';
import { RelayError } from '../errors.ts';
import { readJson } from './body.ts';
import { elapsedMs, respond, type Exchange } from './exchange.ts';
import type { AppContext } from './app.ts';
import { identify } from './identify.ts';
import { chooseModel } from './models.ts';
import { runReserved } from './run-reserved.ts';

export async function complete(request: Request, exchange: Exchange, context: AppContext): Promise<Response> {
  const { config } = context;
  const key = identify(request, exchange, 'complete', context);
  const body = await readJson(request, config.maxInputBytes);
  exchange.bytesIn = body.bytes;
  const parsed = completeRequest.safeParse(body.value);
  if (!parsed.success) throw new RelayError('bad_request', explain(parsed.error));
  const { prompt, system = '', effort, output_format: format } = parsed.data;
  const model = chooseModel(parsed.data.model, key, config);
  exchange.model = model;

  const answer = await runReserved({ prompt, system, model, effort }, request, exchange, context, key);

  if (format === 'text') {
    return respond(exchange, 200, {
      ok: true,
      model,
      duration_ms: elapsedMs(exchange),
      text: answer.text,
      ...(answer.stopReason === 'end_turn' ? {} : { stop_reason: answer.stopReason }),
    } satisfies CompleteTextResponse);
  }
  return respond(exchange, 200, {
    ok: true,
    model,
    resolved_model: answer.resolvedModel,
    duration_ms: elapsedMs(exchange),
    result: answer.text,
    stop_reason: answer.stopReason,
    usage: { ...answer.usage, cost_usd: answer.costUsd },
  } satisfies CompleteJsonResponse);
}
