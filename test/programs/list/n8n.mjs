/**
 * `n8n.mjs PATH PROMPT`: starts n8n's server, sends the prompt to its chat at PATH as a page does, prints the answer and what the server
 * logged, and stops the server.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const [path, prompt] = process.argv.slice(2);
const [port, brokerPort] = await Promise.all([freePort(), freePort()]);
const origin = `http://127.0.0.1:${port}`;
const server = spawn('n8n', ['start'], {
  env: { ...process.env, N8N_PORT: `${port}`, N8N_RUNNERS_BROKER_PORT: `${brokerPort}` },
  stdio: ['ignore', 'inherit', 'inherit'],
});
// The server listens before it is ready, and is ready before it knows the workflow.
// It never knows one that it could not activate.
const patience = AbortSignal.timeout(120_000);
let answer;
while (server.exitCode === null && !patience.aborted && (answer === undefined || answer.status === 404)) {
  await sleep(200);
  const ready = await fetch(`${origin}/healthz/readiness`).catch(() => undefined);
  if (ready?.ok === true) answer = await send();
}
const written = (await answer?.text()) ?? '';
// A stream is a line of JSON for each part.
const parts = written.split('\n').filter((line) => line !== '');
console.log(parts.length > 1 ? parts.map((part) => JSON.parse(part).content ?? '').join('') : written);
server.kill();
if (server.exitCode === null) await once(server, 'exit');

function send() {
  return fetch(origin + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ action: 'sendMessage', sessionId: 'one', chatInput: prompt }),
  });
}

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port: free } = listener.address();
  listener.close();
  return free;
}
