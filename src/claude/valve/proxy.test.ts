/** The proxy of the relay's processes: whom it serves, where it connects them, and what it makes of a request to an `http` API. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startConnectProxy } from '../../../test/support/connect-proxy.ts';
import { startPlay, type Line, type Play } from '../../../test/support/played-child.ts';
import { eventually } from '../../../test/support/relay.ts';
import { unsealed } from '../seal/seal.ts';
import { startValveProxy } from './proxy.ts';

const established = 'HTTP/1.1 200 Connection established\r\n\r\n';
const settledMs = 100;

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function play(options?: Parameters<typeof startPlay>[0]): Promise<Play> {
  const played = await startPlay(options);
  open.push(() => played.close());
  return played;
}

describe('a secret', () => {
  test('that is wrong or missing gets 407 and reaches nothing', async () => {
    for (const scheme of ['https', 'http'] as const) {
      const { api, place, dial, tunnel, credentials, valves } = await play({ scheme });
      const ended = valves.begin();
      ended.end();
      const { password } = new URL(ended.env?.['HTTP_PROXY'] ?? '');
      const old = `Basic ${Buffer.from(`relay:${password}`).toString('base64')}`;
      for (const wrong of ['', 'Basic cmVsYXk6', old, credentials.toLowerCase(), `${credentials}x`]) {
        for (const to of [place, 'platform.claude.com:443', 'elsewhere.test:443']) {
          assert.match((await tunnel(to, wrong)).text(), /^HTTP\/1\.1 407 /, wrong);
        }
        const { socket, text } = await dial();
        socket.write(`GET http://${place}/ HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${wrong}\r\n\r\n`);
        await eventually('an answer', () => text() !== '');
        assert.match(text(), /^HTTP\/1\.1 407 /, wrong);
      }
      const { socket, text } = await dial();
      socket.write(`CONNECT ${place} HTTP/1.1\r\nhost: x\r\n\r\n`);
      await once(socket, 'end');
      assert.match(text(), /^HTTP\/1\.1 407 /);
      assert.equal(api.lines.length, 0);
    }
  });

  test('belongs to one process, whose end leaves the others alone', async () => {
    const { valves, tunnel, place, end } = await play();
    const mine = await tunnel();
    const other = valves.begin();
    const { password } = new URL(other.env?.['HTTP_PROXY'] ?? '');
    const theirs = await tunnel(place, `Basic ${Buffer.from(`relay:${password}`).toString('base64')}`);
    assert.equal(theirs.text(), established);
    end();
    await eventually('it has ended', () => mine.socket.readableEnded);
    assert.match((await tunnel()).text(), /^HTTP\/1\.1 407 /);
    theirs.socket.write('x');
    await eventually('the other one passes', () => other.valve.passedBytes === 1);
  });
});

test('another host, port or scheme gets 403 and reaches nothing', async () => {
  const { tunnel, place, api } = await play();
  const [host = '', port = ''] = place.split(':');
  const others = [
    'elsewhere.test:443',
    `localhost:${port}`,
    `${host}:${Number(port) - 1}`,
    host,
    `${place}@elsewhere.test:443`,
    `elsewhere.test:443#@${place}`,
    'platform.claude.com:80',
    'platform.claude.com:8443',
    'x.platform.claude.com:443',
    'api.anthropic.com:443',
    ':443',
    '/',
  ];
  for (const other of others) assert.match((await tunnel(other)).text(), /^HTTP\/1\.1 40[03] /, other);
  assert.equal(api.lines.length, 0);

  const plain = await play({ scheme: 'http' });
  assert.match((await plain.tunnel()).text(), /^HTTP\/1\.1 403 /, 'a tunnel to an http API');
});

test('platform.claude.com is reached without the valve, also when the API is not', async () => {
  const proxy = await startConnectProxy((client) => {
    client.write('HTTP/1.1 200 OK\r\n\r\n');
    client.on('data', (bytes) => client.write(bytes));
  });
  open.push(() => proxy.close());
  for (const scheme of ['https', 'http'] as const) {
    const { tunnel, valve, end } = await play({ scheme, env: () => ({ HTTPS_PROXY: proxy.url }) });
    valve.shut();
    const { socket, text } = await tunnel('platform.claude.com:443');
    assert.equal(text(), established);
    socket.write('refresh');
    await eventually('an answer', () => text() === `${established}refresh`);
    valve.cut();
    socket.write('again');
    await eventually('an answer', () => text() === `${established}refreshagain`);
    assert.equal(valve.wentOut + valve.passedBytes + valve.heldBytes, 0);
    end();
    await eventually('it ends with the process', () => socket.readableEnded);
  }
  assert.ok(proxy.tunnels.every(({ place }) => place === 'platform.claude.com:443'));
});

test('an API that cannot be reached ends the connection, with the reason', async () => {
  const { dial, credentials, valve, place } = await play({
    env: () => ({ HTTPS_PROXY: 'http://127.0.0.1:1' }),
  });
  const { socket, text } = await dial();
  socket.write(`CONNECT ${place} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${credentials}\r\n\r\n`);
  await once(socket, 'end');
  assert.equal(text(), '');
  assert.match(valve.dialFailure ?? '', /ECONNREFUSED/);
});

test('a base URL can have a path, a user and an IPv6 address; one that is not valid refuses everything', async () => {
  for (const [base, place] of [
    ['https://user:pw@api.test/prefix/', 'api.test:443'],
    ['https://api.test:8443/prefix', 'api.test:8443'],
    ['https://[::1]:8443', '[::1]:8443'],
    ['HTTPS://API.test', 'api.test:443'],
  ] as const) {
    const proxy = await startConnectProxy((client) => void client.write('HTTP/1.1 200 OK\r\n\r\n'));
    open.push(() => proxy.close());
    const env = (): Record<string, string> => ({ ANTHROPIC_BASE_URL: base, HTTPS_PROXY: proxy.url });
    const { tunnel } = await play({ env });
    assert.equal((await tunnel(place)).text(), established, base);
  }
  const { tunnel } = await play({ env: () => ({ ANTHROPIC_BASE_URL: 'api.test' }) });
  assert.match((await tunnel('api.test:443')).text(), /^HTTP\/1\.1 403 /);
});

test('a model at another provider has no valve', async () => {
  const valves = await startValveProxy({ CLAUDE_CODE_USE_BEDROCK: '1' });
  const { env, valve, end } = valves.begin();
  assert.equal(env, undefined);
  assert.equal(valves.exact || valve.exact, false);
  end();
  await valves.close();
});

test('a provider that is turned off is no other provider', async () => {
  for (const off of ['', '0', 'false', 'off']) {
    const valves = await startValveProxy({ CLAUDE_CODE_USE_BEDROCK: off, CLAUDE_CODE_USE_VERTEX: off });
    assert.equal(valves.exact, true, off);
    await valves.close();
  }
});

test('the close of the proxy ends every connection', async () => {
  const proxy = await startConnectProxy((client) => void client.write('HTTP/1.1 200 OK\r\n\r\n'));
  open.push(() => proxy.close());
  const played = await play({ env: () => ({ HTTPS_PROXY: proxy.url }) });
  const lines = [await played.tunnel(), await played.tunnel('platform.claude.com:443'), await played.dial()];
  played.valve.shut();
  const waiting = await played.dial();
  waiting.socket.write(
    `CONNECT ${played.place} HTTP/1.1\r\nhost: x\r\nproxy-authorization: ${played.credentials}\r\n\r\n`,
  );
  await eventually('it is held', () => played.valve.heldBytes > 64);
  const refused = await played.dial();
  refused.socket.write('CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(refused.socket, 'readable');
  await played.valves.close();
  for (const { socket } of [...lines, waiting, refused]) {
    await eventually('it has ended', () => socket.readableEnded || socket.closed);
  }
});

describe('a request to an http API', () => {
  const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

  /** An API that answers each request that has come whole. */
  function answers(answer: string): { answer: (socket: Socket) => void } {
    return {
      answer: (socket) => {
        let text = '';
        socket.on('data', (bytes: Buffer) => {
          text += bytes.toString('latin1');
          const [head = ''] = text.split('\r\n\r\n');
          const isWhole = /content-length/i.test(head)
            ? text.length >= head.length + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1])
            : !/chunked/i.test(head) || text.endsWith('0\r\n\r\n');
          if (!text.includes('\r\n\r\n') || !isWhole) return;
          text = '';
          socket.write(answer);
        });
      },
    };
  }

  async function plainPlay(options: Parameters<typeof startPlay>[0] = answers(ok)) {
    const played = await play({ scheme: 'http', ...options });
    const line = await played.dial();
    const head = (method: string, path: string, fields: readonly string[] = []): string =>
      [
        `${method} http://${played.place}${path} HTTP/1.1`,
        `Host: ${played.place}`,
        `Proxy-Authorization: ${played.credentials}`,
        ...fields,
        '\r\n',
      ].join('\r\n');
    const got = (index = 0): string => played.api.lines[index]?.text() ?? '';
    return { ...played, line, head, got };
  }

  async function answered({ text }: Line, count: number, answer = /\r\n\r\nok/g): Promise<void> {
    while ((text().match(answer) ?? []).length < count) await sleep(1);
  }

  test('keeps the case and order of its fields, without those of one hop', async () => {
    const { line, head, got, place } = await plainPlay();
    line.socket.write(
      head('POST', '/v1/messages?beta=true', [
        'X-Api-Key: a',
        'Connection: keep-alive, X-Hop, Content-Length, Host',
        'x-HOP: secret',
        'Keep-Alive: 5',
        'Proxy-Connection: x',
        'TE: trailers',
        'Trailer: X-Late',
        'Upgrade: h2c',
        'accept: */*',
        'X-Twice: 1',
        'x-twice: 2',
        'Content-Length: 4',
      ]) + 'body',
    );
    await answered(line, 1);
    assert.equal(
      got(),
      `POST /v1/messages?beta=true HTTP/1.1\r\nHost: ${place}\r\nX-Api-Key: a\r\naccept: */*\r\nX-Twice: 1\r\nx-twice: 2\r\n` +
        'Content-Length: 4\r\nConnection: keep-alive\r\n\r\nbody',
    );
  });

  test('is sent to the host of its URL, whatever its Host says', async () => {
    const { line, got, place, credentials } = await plainPlay();
    line.socket.write(
      `GET http://${place}/a HTTP/1.1\r\nHost: evil.test\r\nproxy-authorization: ${credentials}\r\n\r\n`,
    );
    await answered(line, 1);
    assert.match(got(), new RegExp(`^GET /a HTTP/1.1\r\nHost: ${place}\r\n`));
    assert.doesNotMatch(got(), /evil|authorization/i);
  });

  test('is checked by itself on a connection that is kept', async () => {
    const { line, head, place, credentials, api } = await plainPlay();
    line.socket.write(head('GET', '/one'));
    await answered(line, 1);
    const fields = `Host: ${place}\r\nproxy-authorization: ${credentials}\r\n\r\n`;
    for (const [url, status] of [
      ['http://evil.test/', 403],
      [`http://${place}@evil.test/`, 403],
      [`https://${place}/`, 403],
      ['/', 403],
      ['*', 403],
    ] as const) {
      const before = line.text().length;
      line.socket.write(`GET ${url} HTTP/1.1\r\n${fields}`);
      await eventually('an answer', () => line.text().length > before);
      assert.match(line.text().slice(before), new RegExp(`^HTTP/1.1 ${status} `), url);
    }
    const before = line.text().length;
    line.socket.write(`GET http://${place}/ HTTP/1.1\r\nHost: ${place}\r\n\r\n`);
    await eventually('an answer', () => line.text().length > before);
    assert.match(line.text().slice(before), /^HTTP\/1\.1 407 /);
    line.socket.write(head('GET', '/two'));
    await answered(line, 2);
    assert.equal(api.lines.length, 1);
  });

  test('keeps its frame when it is chunked, and two requests stay two', async () => {
    const { line, head, api } = await plainPlay();
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
    for (const method of ['POST', 'GET', 'DELETE']) {
      const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n`;
      line.socket.write(
        `${head(method, '/', ['Connection: transfer-encoding', 'Transfer-Encoding: chunked'])}${chunk}0\r\nX-Late: 1\r\n\r\n`,
      );
    }
    await answered(line, 3);
    const all = api.lines.map(({ text }) => text()).join('');
    const chunked = all.match(/Transfer-Encoding: chunked\r\n[^]*?\r\n\r\n[\da-f]+\r\n/g) ?? [];
    assert.equal(chunked.length, 3, all);
    assert.doesNotMatch(all, /X-Late/);
  });

  test('with two lengths is refused', async () => {
    const { line, head, api } = await plainPlay();
    line.socket.write(`${head('POST', '/', ['Content-Length: 5', 'Transfer-Encoding: chunked'])}0\r\n\r\n`);
    await once(line.socket, 'end');
    assert.match(line.text(), /^HTTP\/1\.1 400 /);
    assert.equal(api.lines.length, 0);
  });

  test('that expects 100 gets it at once', async () => {
    const { line, head, got } = await plainPlay();
    line.socket.write(head('POST', '/', ['Expect: 100-continue', 'Content-Length: 4']));
    await eventually('a go-ahead', () => line.text() === 'HTTP/1.1 100 Continue\r\n\r\n');
    line.socket.write('body');
    await answered(line, 1);
    assert.doesNotMatch(got(), /expect/i);
  });

  test('is held whole while the valve is shut, and goes out when it is opened', async () => {
    const { line, head, valve, api, got } = await plainPlay();
    let held = 0;
    valve.onHeld = () => (held += 1);
    valve.shut();
    line.socket.write(`${head('POST', '/', ['Content-Length: 4'])}body`);
    await eventually('it is held', () => held === 1);
    await sleep(settledMs);
    assert.equal(api.lines.length, 0);
    valve.open();
    await answered(line, 1);
    assert.match(got(), /body$/);
    assert.ok(valve.passedBytes > 64);
    assert.equal(valve.wentOut, 1);
  });

  test('stops in its body when the valve is shut', async () => {
    const { line, head, valve, got } = await plainPlay();
    line.socket.write(`${head('POST', '/', ['Content-Length: 200'])}first`);
    await eventually('the beginning', () => got().endsWith('first'));
    valve.shut();
    line.socket.write('x'.repeat(195));
    await eventually('the rest is held', () => valve.heldBytes === 195);
    await sleep(settledMs);
    assert.match(got(), /first$/);
    valve.open();
    await answered(line, 1);
  });

  test('gets 503 while the valve refuses, and the connection stays', async () => {
    const { line, head, valve, api } = await plainPlay();
    line.socket.write(head('GET', '/'));
    await answered(line, 1);
    valve.refuse();
    line.socket.write(head('GET', '/'));
    await eventually('a refusal', () => /HTTP\/1\.1 503 /.test(line.text()));
    assert.equal(valve.refused, 1);
    valve.open();
    line.socket.write(head('GET', '/'));
    await answered(line, 2);
    assert.equal(api.lines.length, 1);
  });

  test('ends at once when the valve is cut', async () => {
    const { line, head, valve, api, got } = await plainPlay({});
    line.socket.write(head('GET', '/'));
    await eventually('it is under way', () => got() !== '');
    assert.equal(valve.isQuiet, false);
    valve.cut();
    await eventually('it has ended', () => line.socket.readableEnded || line.socket.closed);
    await eventually('it has ended at the API', () => api.lines[0]?.socket.readableEnded === true);
    await eventually('the valve is quiet', () => valve.isQuiet);
  });

  test('ends at the API when the process closes its connection', async () => {
    for (const body of ['', 'a']) {
      const { line, head, api, got } = await plainPlay({});
      line.socket.write(`${head('POST', '/', [`Content-Length: ${body.length * 9}`])}${body}`);
      await eventually('it is under way', () => got() !== '');
      line.socket.destroy();
      await eventually('it has ended', () => api.lines[0]?.socket.readableEnded === true);
    }
  });

  test('fails for the process when the API closes a kept connection, and the next one passes', async () => {
    const { line, head, api, dial, place } = await plainPlay();
    line.socket.write(head('GET', '/'));
    await answered(line, 1);
    api.lines[0]?.socket
      .once('data', () => api.lines[0]?.socket.resetAndDestroy())
      .removeAllListeners('data');
    api.lines[0]?.socket.once('data', () => api.lines[0]?.socket.resetAndDestroy());
    line.socket.write(head('POST', '/', ['Content-Length: 0']));
    await eventually('it fails', () => line.socket.readableEnded || line.socket.closed);
    assert.equal(api.lines.length, 1, 'it is not sent again');
    const next = await dial();
    next.socket.write(head('GET', `/?${place}`));
    await answered(next, 1);
    api.lines[1]?.socket.end();
    await sleep(settledMs);
    next.socket.write(head('GET', '/'));
    await answered(next, 2);
  });

  test('that is answered before its end leaves the connection of use', async () => {
    const { line, head, got } = await plainPlay({
      answer: (socket) =>
        socket.once('data', () => socket.end('HTTP/1.1 413 Big\r\ncontent-length: 2\r\n\r\nok')),
    });
    const length = 5_000_000;
    line.socket.write(`${head('POST', '/', [`Content-Length: ${length}`])}${'x'.repeat(1000)}`);
    await answered(line, 1);
    line.socket.write('x'.repeat(length - 1000));
    line.socket.write(head('GET', '/'));
    await answered(line, 2);
    assert.ok(got(1).startsWith('GET / '));
  });

  describe('gets from the API', () => {
    test('each event of a stream at once, and a compressed body as it is', async () => {
      let api: Socket | undefined;
      const { line, head } = await plainPlay({
        answer: (socket) =>
          socket.once('data', () => {
            api = socket;
            socket.write(
              'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ncontent-encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n',
            );
          }),
      });
      line.socket.write(head('GET', '/'));
      await eventually('the head', () => line.text().endsWith('\r\n\r\n'));
      assert.match(line.text(), /Content-Type: text\/event-stream\r\ncontent-encoding: gzip\r\n/);
      for (const event of ['one', 'two']) {
        api?.write(`3\r\n${event}\r\n`);
        await eventually('the event', () => line.text().endsWith(`3\r\n${event}\r\n`));
      }
      api?.write('0\r\n\r\n');
      await eventually('the end', () => line.text().endsWith('0\r\n\r\n'));
    });

    const cases: [name: string, method: string, answer: string, expected: RegExp][] = [
      [
        'the answer to HEAD',
        'HEAD',
        'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n',
        /content-length: 5\r\n[^]*\r\n\r\n$/,
      ],
      ['an answer without a body', 'GET', 'HTTP/1.1 204 No\r\n\r\n', /^HTTP\/1\.1 204 [^]*\r\n\r\n$/],
      [
        'the answer after an interim one',
        'GET',
        `HTTP/1.1 103 Early\r\nlink: x\r\n\r\n${ok}`,
        /^HTTP\/1\.1 200 [^]*ok$/,
      ],
      [
        'an answer without the fields of one hop',
        'GET',
        'HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nx-hop: 1\r\nKeep-Alive: timeout=9\r\nX-Kept: 1\r\ncontent-length: 2\r\n\r\nok',
        /^HTTP\/1\.1 200 OK\r\nX-Kept: 1\r\ncontent-length: 2\r\nDate: [^\r]+\r\nConnection: keep-alive\r\n\r\nok$/,
      ],
    ];
    for (const [name, method, answer, expected] of cases) {
      test(name, async () => {
        const { line, head, dial } = await plainPlay(answers(answer));
        line.socket.write(head(method, '/'));
        await eventually('the answer', () => expected.test(line.text()));
        const next = await dial();
        next.socket.write(head(method, '/'));
        await eventually('the answer', () => expected.test(next.text()));
      });
    }

    const faults: [name: string, answer: string][] = [
      ['a switch of protocols', 'HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
      ['a status that does not exist', 'HTTP/1.1 000 No\r\ncontent-length: 0\r\n\r\n'],
      ['no HTTP', 'SSH-2.0\r\n\r\n'],
    ];
    for (const [name, answer] of faults) {
      test(`${name}, and loses its connection`, async () => {
        const { line, head, valve } = await plainPlay(answers(answer));
        line.socket.write(head('GET', '/'));
        await once(line.socket, 'end');
        assert.equal(line.text(), '');
        await eventually('the valve is quiet', () => valve.isQuiet);
      });
    }

    test('a broken answer as a broken one', async () => {
      const { line, head } = await plainPlay({
        answer: (socket) =>
          socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf')),
      });
      line.socket.write(head('GET', '/'));
      await eventually('the end', () => line.socket.readableEnded || line.socket.closed);
      assert.match(line.text(), /content-length: 9[^]*half$/);
    });
  });

  test('goes through the proxy of the host, except where NO_PROXY says otherwise', async () => {
    const proxy = await startConnectProxy();
    open.push(() => proxy.close());
    const env = { HTTP_PROXY: proxy.url.replace('http://', 'http://us%3Aer:pw@') };
    const { line, head, place, got } = await plainPlay({ env: () => env });
    line.socket.write(head('GET', '/a?b'));
    await eventually('an answer', () => line.text().startsWith('HTTP/1.1 200 '));
    const credentials = `Basic ${Buffer.from('us:er:pw').toString('base64')}`;
    assert.deepEqual(proxy.plain, [{ request: `GET http://${place}/a?b`, credentials }]);
    assert.equal(got(), '');
    const direct = await plainPlay({ ...answers(ok), env: () => ({ ...env, NO_PROXY: '127.0.0.1' }) });
    direct.line.socket.write(direct.head('GET', '/'));
    await answered(direct.line, 1);
    assert.equal(proxy.plain.length, 1);
  });

  test('with a host proxy that is not a URL is a fault of the start', async () => {
    const env = { ANTHROPIC_BASE_URL: 'http://api.test', HTTP_PROXY: 'http://:0:' };
    await assert.rejects(startValveProxy(env), { message: 'HTTP_PROXY is not an http or https URL' });
  });

  test('of 200 leaves no listener and no socket behind', async () => {
    const warnings: string[] = [];
    const onWarning = ({ message }: Error): number => warnings.push(message);
    process.on('warning', onWarning);
    open.push(() => void process.off('warning', onWarning));
    const { line, head, valve, api, dial } = await plainPlay();
    for (let count = 1; count <= 100; count += 1) {
      line.socket.write(`${head('POST', '/', ['Content-Length: 4'])}body`);
      await answered(line, count);
    }
    for (let count = 1; count <= 100; count += 1) {
      const once = await dial();
      once.socket.write(head('GET', '/'));
      await answered(once, 1);
      once.socket.destroy();
    }
    assert.equal(valve.wentOut, 200);
    assert.ok(api.lines.length < 5, 'one connection is used again');
    await sleep(settledMs);
    assert.deepEqual(warnings, []);
  });
});

describe('a unix socket', () => {
  /** A process that has one, and a connection to it. */
  async function onSocket(scheme: 'http' | 'https') {
    const { place, api } = await play({ scheme });
    const directory = mkdtempSync(join(tmpdir(), 'valve-socket-'));
    open.push(() => rmSync(directory, { recursive: true }));
    const path = join(directory, 'socket');
    const seal = { ...unsealed, newSocket: () => path };
    const valves = await startValveProxy({ ANTHROPIC_BASE_URL: `${scheme}://${place}` }, seal);
    open.push(() => valves.close());
    const { valve, env, end } = valves.begin();
    assert.deepEqual(env, { ANTHROPIC_UNIX_SOCKET: path });
    const socket = connect(path);
    open.push(() => void socket.destroy());
    let text = '';
    socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
    return { place, api, path, valve, end, socket, text: () => text };
  }

  test('leads to an https API without a greeting, behind the valve, and ends with the process', async () => {
    const { api, path, valve, end, socket, text } = await onSocket('https');
    socket.write('hello');
    await eventually('it passes', () => api.lines[0]?.text() === 'hello');
    assert.equal(valve.passedBytes, 5);
    api.lines[0]?.socket.write('world');
    await eventually('the answer passes', () => text() === 'world');
    valve.shut();
    socket.write('again');
    await eventually('it is held', () => valve.heldBytes === 5);
    end();
    await once(socket, 'close');
    assert.equal(existsSync(path), false);
    assert.equal(api.lines[0]?.text(), 'hello');
  });

  test('leads requests to an http API, behind the valve, and to no other host', async () => {
    const { place, api, valve, socket, text } = await onSocket('http');
    socket.write('GET http://elsewhere.test/ HTTP/1.1\r\nhost: x\r\n\r\n');
    await eventually('an answer', () => text().startsWith('HTTP/1.1 403 '));
    assert.equal(valve.passedBytes, 0);
    socket.write('GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n');
    await eventually('it passes', () => api.lines[0]?.text().includes('\r\n\r\n') === true);
    assert.match(
      api.lines[0]?.text() ?? '',
      new RegExp(`^GET /v1/models HTTP/1.1\\r\\nhost: ${place}\\r\\n`, 'i'),
    );
    assert.ok(valve.passedBytes > 0);
  });
});
