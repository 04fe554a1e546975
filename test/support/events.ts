/** Reads an answer of server-sent events, as a client does. */
export type SentEvent = { event: string; data: Record<string, unknown> };

export type Events = {
  events: SentEvent[];
  /** Comments, such as pings. */
  comments: number;
  /** Whether the answer is complete, or was cut off. */
  whole: boolean;
  /** The whole body. */
  text: string;
};

export async function readEvents(response: Response, onText?: (text: string) => void): Promise<Events> {
  let text = '';
  let whole = true;
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      onText?.(text);
    }
  } catch {
    whole = false;
  }
  return { ...parseEvents(text), whole, text };
}

export function parseEvents(text: string): { events: SentEvent[]; comments: number } {
  const events: SentEvent[] = [];
  let comments = 0;
  for (const frame of text.split('\n\n').slice(0, -1)) {
    if (frame.startsWith(':')) comments += 1;
    else {
      const [, event = '', data = '{}'] = /^event: (.*)\ndata: (.*)$/s.exec(frame) ?? [];
      events.push({ event, data: JSON.parse(data) as Record<string, unknown> });
    }
  }
  return { events, comments };
}
