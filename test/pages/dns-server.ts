/** A name server for tests, over UDP and TCP: RFC 1035, answers for A and AAAA. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** The addresses of a name, an error, or no reply. `count`: how often this name and type were queried. */
export type Answer =
  | readonly string[]
  | { readonly alias: readonly string[] }
  | 'nxdomain'
  | 'servfail'
  | 'cname-only'
  | 'silence';
export type Zone = (name: string, count: number, family: 4 | 6) => Answer;

const types = { A: 1, CNAME: 5, AAAA: 28 } as const;

export async function startDns(address: string, zone: Zone): Promise<{ queries(name: string): number }> {
  const counts = new Map<string, number>();

  const respond = (query: Buffer): Buffer | undefined => {
    const { name, type, end } = readQuestion(query);
    const key = `${name} ${type}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    const answer = zone(name, count, type === types.AAAA ? 6 : 4);
    if (answer === 'silence') return undefined;
    const records = recordsOf(answer, type);
    const header = Buffer.from(query.subarray(0, 12));
    const code = answer === 'nxdomain' ? 3 : answer === 'servfail' ? 2 : 0;
    header.writeUInt16BE(0x8180 | code, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    header.writeUInt32BE(0, 8);
    return Buffer.concat([header, query.subarray(12, end), ...records]);
  };

  const udp = createSocket('udp4');
  udp.on('message', (query, from) => {
    const response = respond(query);
    if (response === undefined) return;
    if (response.length > 1232) {
      // Too long for a datagram: the question alone, marked as truncated, so that the client uses TCP.
      const short = Buffer.from(response.subarray(0, readQuestion(query).end));
      short.writeUInt16BE(0x8380, 2);
      short.writeUInt16BE(0, 6);
      udp.send(short, from.port, from.address);
    } else {
      udp.send(response, from.port, from.address);
    }
  });
  await new Promise<void>((resolve) => udp.bind(53, address, resolve));

  const tcp = createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const response = respond(received.subarray(2, 2 + received.readUInt16BE(0)));
      if (response === undefined) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(response.length);
      socket.end(Buffer.concat([length, response]));
    });
  });
  await new Promise<void>((resolve) => tcp.listen(53, address, resolve));

  return { queries: (name) => counts.get(`${name} ${types.A}`) ?? 0 };
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

const other = Buffer.from('\x05other\x04site\x03com\x00', 'latin1');

function recordsOf(answer: Answer, type: number): Buffer[] {
  if (answer === 'cname-only') return [record(types.CNAME, other)];
  if (typeof answer === 'string') return [];
  if ('alias' in answer) {
    const addresses = answer.alias.flatMap((address) => addressRecord(address, type, other));
    return [record(types.CNAME, other), ...addresses];
  }
  return answer.flatMap((address) => addressRecord(address, type));
}

function addressRecord(address: string, type: number, owner = asked): Buffer[] {
  if (address.includes(':')) {
    if (type !== types.AAAA) return [];
    const [head = '', tail = ''] = address.split('::');
    const groups = (text: string): number[] =>
      text === '' ? [] : text.split(':').map((part) => parseInt(part, 16));
    const [before, after] = [groups(head), groups(tail)];
    const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
    return [record(types.AAAA, Buffer.from(all.flatMap((group) => [group >> 8, group & 255])), owner)];
  }
  return type === types.A ? [record(types.A, Buffer.from(address.split('.').map(Number)), owner)] : [];
}

/** The name of the question: a pointer to it. */
const asked = Buffer.from([0xc0, 0x0c]);

/** A time to live of zero. */
function record(type: number, data: Buffer, owner = asked): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(0, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, head, data]);
}
