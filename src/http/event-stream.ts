/** An answer in pieces. Pings keep a tunnel from closing a silent connection. A client that does not read is dropped. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { ServerResponse } from 'node:http';
import type { StreamForm } from '../dialects/dialect.ts';
import { type Exchange, asRelayError, headersOf } from './exchange.ts';
import type { Times } from './times.ts';

/** A client that leaves more bytes unread, in addition to its largest event, is dropped. */
export const maxUnreadBytes = 1024 * 1024;

/**
 * `ping` is sent in a silence, `probe` instead of it once the client has closed its side: it shows whether the client is gone. Lines of
 * JSON have no comment, and some clients expect a whole line in each piece; but a space may precede the next line.
 */
const forms: Record<StreamForm, { contentType: string; ping: string; probe: string }> = {
  events: { contentType: 'text/event-stream; charset=utf-8', ping: ': ping\n\n', probe: ': ping\n\n' },
  lines: { contentType: 'application/x-ndjson', ping: '', probe: ' ' },
};
/** Milliseconds between the first two pings to a client that has closed its side: the second one shows whether it is gone. */
const probeAgainMs = 1;

export type StreamTimes = Pick<Times, 'pingAfterMs' | 'maxUnreadMs'>;

export type EventStream = ReturnType<typeof openEventStream>;

/** Pings begin by themselves. */
export function openEventStream(
  exchange: Exchange,
  outgoing: ServerResponse,
  { pingAfterMs, maxUnreadMs }: StreamTimes,
) {
  const { contentType, probe, ...form } = forms[exchange.errorFormat.streamForm ?? 'events'];
  let { ping } = form;
  let begun = false;
  let largest = 0;
  let unread: { read: PromiseWithResolvers<void>; timer: NodeJS.Timeout } | undefined;

  const write = (text: string): boolean => {
    if (!begun) {
      begun = true;
      outgoing.writeHead(200, {
        ...headersOf(exchange, contentType),
        'x-accel-buffering': 'no',
      });
    }
    const bytes = Buffer.byteLength(text);
    // The last event of an answer can hold all of it: a client is not slow because it gets that at once.
    largest = Math.max(largest, bytes);
    exchange.bytesOut += bytes;
    return outgoing.write(text);
  };
  const drop = (): void => void outgoing.destroy();

  const whenSilent = (): void => {
    silence = setTimeout(whenSilent, pingAfterMs);
    if (unread === undefined && ping !== '') write(ping);
  };
  const waited = performance.now() - exchange.startedAt;
  let silence = setTimeout(whenSilent, Math.max(1, pingAfterMs - waited));

  /** Before the answer has begun, `probeHalfClosed` does the same. */
  const onHalfClosed = (): void => {
    if (!begun) return;
    ping = probe;
    clearTimeout(silence);
    whenSilent();
    clearTimeout(silence);
    silence = setTimeout(whenSilent, probeAgainMs);
  };

  const onRead = (): void => {
    clearTimeout(unread?.timer);
    unread?.read.resolve();
    unread = undefined;
  };
  const stop = (): void => {
    clearTimeout(silence);
    outgoing.req.socket.off('end', onHalfClosed);
    onRead();
  };
  outgoing.req.socket.on('end', onHalfClosed);
  outgoing.on('drain', onRead);
  outgoing.on('close', stop);
  // A write to a connection that has just closed is not an error.
  outgoing.on('error', () => {});
  if (outgoing.destroyed) stop();

  return {
    /** The status has been sent: from now on, errors are sent as events. */
    get begun() {
      return begun;
    },
    /** Sends at once; the first time, status and headers go before it. */
    send: (events: string): void => {
      if (events === '' || outgoing.destroyed) return;
      clearTimeout(silence);
      silence = setTimeout(whenSilent, pingAfterMs);
      if (write(events)) return;
      unread ??= { read: Promise.withResolvers(), timer: setTimeout(drop, maxUnreadMs) };
      if (outgoing.writableLength > maxUnreadBytes + largest) drop();
    },
    /** Resolves when the client has read enough for more to be sent, or is gone. */
    room: async () => unread?.read.promise,
    /** Ends the answer; resolves when the client has it, or is gone or was dropped. */
    end: async () => {
      clearTimeout(silence);
      if (outgoing.destroyed) return;
      const timer = setTimeout(drop, maxUnreadMs);
      await new Promise<void>((resolve) => {
        outgoing.once('close', resolve);
        outgoing.end(resolve);
      });
      clearTimeout(timer);
      stop();
    },
    /** The answer has no events: it is written elsewhere. */
    forget: stop,
  };
}

/**
 * `source` sends what it has and resolves at its end. What it throws before anything was sent passes through, to be answered like any
 * other error; later it is sent as the dialect's error events. Resolves when the client has all of it, or is gone.
 */
export async function answerWithEvents(
  exchange: Exchange,
  times: StreamTimes,
  source: (stream: Pick<EventStream, 'send' | 'room'>) => Promise<void>,
): Promise<Response> {
  const { outgoing } = exchange;
  if (outgoing === undefined) throw new Error('there is no connection to stream to');
  const stream = openEventStream(exchange, outgoing, times);
  try {
    await source(stream);
  } catch (thrown) {
    if (!stream.begun) {
      stream.forget();
      throw thrown;
    }
    exchange.failure = asRelayError(thrown);
    const { failure, errorFormat, requestId } = exchange;
    stream.send(failure.details.events ?? errorFormat.errorEvents(failure, requestId));
  }
  await stream.end();
  if (!outgoing.writableFinished) exchange.clientGone = true;
  return RESPONSE_ALREADY_SENT;
}
