/** Reads `text/event-stream`, as far as the relay sends it: the data of each event, parsed. */
export async function* eventData(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const data = event
        .split('\n')
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice('data:'.length).trimStart());
      // A comment alone, such as a ping, has none.
      if (data.length > 0) yield JSON.parse(data.join('\n'));
    }
  }
}
