/** The owner's page in Chromium, as its owner sees and uses it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import axe from 'axe-core';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import type { Line } from '../src/commands/doctor/line.ts';
import { findProgram } from '../src/find-program.ts';
import { needs } from './support/needs.ts';
import { changeKeys } from './support/ollama-port.ts';
import { ownHeaders, startOwnerRelay, type OwnerRelay } from './support/owner-page.ts';
import { listenOn } from './support/ports.ts';
import { eventually, query, root } from './support/relay.ts';

const views = ['now', 'keys', 'use', 'requests', 'trouble', 'doctor'];

async function* lines(): AsyncGenerator<Line> {
  yield { name: 'settings', state: 'ok', detail: 'config.env is valid' };
  yield { name: 'relay/seal', state: 'warning', detail: 'not sealed', fix: 'apt install bubblewrap' };
  yield { name: 'disk', state: 'failure', detail: 'the disk is full', fix: 'make room' };
}

describe("the owner's page in Chromium", { skip: needs('chromium') }, () => {
  let relay: OwnerRelay;
  let browser: Browser;
  const keys: Record<string, string> = {};
  before(async () => {
    relay = await startOwnerRelay({
      settings: {
        PER_KEY_DAILY: '40',
        GLOBAL_DAILY: '500',
        GLOBAL_USD_DAILY: '2',
        ALLOWED_MODELS: 'opus,haiku',
        DEFAULT_MODEL: 'opus',
      },
      doctor: lines,
    });
    for (const label of ['blog', 'cron', 'news']) keys[label] = relay.mint(label);
    const profile = { system: 'Be brief.', model: 'haiku', effort: 'low', maxTokens: 800 } as const;
    changeKeys(relay, (keys) => keys.change('blog', profile, 'test'));
    keys['spender'] = relay.mint('spender', { usdDaily: 0.01, tokensDaily: 10_000 });
    for (const key of Object.values(keys)) {
      for (const model of ['opus', 'haiku', 'opus', 'haiku', 'none']) await ask(key, { model });
    }
    // Each costs a tenth of the key's dollars.
    const spend = () => ask(keys['spender'] ?? '', {});
    for (let i = 0; i < 6; i += 1) await spend();
    await eventually('the dollars are used up', async () => (await spend()) === 429);
    await relay.post({ url: 'http://127.0.0.1/' }, { path: '/v1/fetch' });
    // A label that has no place to break.
    await ask(relay.mint('x'.repeat(64)), {});
    await eventually(
      'the ledger has them',
      () => Number(query(relay, 'SELECT count(*) AS n FROM requests')[0]?.['n']) >= 24,
    );
    browser = await chromium.launch({
      executablePath: findProgram('chromium', process.env['PATH']) ?? '',
      args: ['--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP evil.example 127.0.0.1'],
    });
  });
  after(async () => {
    await browser?.close();
    await relay?.stop();
  });

  const ask = (key: string, body: object) =>
    relay
      .post({ prompt: 'hi', ...body }, { headers: { authorization: `Bearer ${key}` } })
      .then((response) => response.status);

  /** Opens the link of the command, and resolves when the first view is there. A problem of the page fails the test. */
  async function open(
    options: BrowserContextOptions = {},
  ): Promise<{ page: Page; base: string; problems: string[] }> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${relay.port}/open?code=${relay.code()}`);
    await page.waitForURL('**/now');
    return { page, base: page.url().replace(/now$/, ''), problems };
  }

  const violations = (page: Page) =>
    page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: { run: () => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      };
      const found = await axe.run();
      return found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
    });

  const isWider = (page: Page) =>
    page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`every view is readable at 320, 768 and 1440 px in ${colorScheme}, and axe finds nothing`, async () => {
      const { page, base, problems } = await open({ colorScheme });
      for (const view of views) {
        await page.goto(base + view);
        // The page's policy lets no other script in: this one comes from the driver.
        await page.evaluate(axe.source);
        for (const width of [320, 768, 1440]) {
          await page.setViewportSize({ width, height: 900 });
          assert.equal(await isWider(page), false, `${view} at ${width} px`);
          assert.deepEqual(await violations(page), [], `${view} at ${width} px`);
        }
      }
      assert.deepEqual(problems, []);
      await page.context().close();
    });
  }

  test('each view shows the numbers of the ledger', async () => {
    const { page, base } = await open();
    const textOf = async (view: string): Promise<string> => {
      await page.goto(base + view);
      return (await page.locator('main').innerText()).replaceAll(/\s+/g, ' ');
    };
    assert.match(await textOf('now'), /Ready Locked Proved: .* Not sealed .* Running 0 .* not public/);
    const keysText = await textOf('keys');
    assert.match(
      keysText,
      /All keys, requests today \d+ of 500 All keys, reckoned dollars today \$0\.0\d+ of \$2\.00 /,
    );
    assert.match(keysText, /spender \d+ of 40 0 of 2 running \$0\.0100 of \$0\.0100 used up/);
    assert.match(await textOf('use'), /Requests [2-9]\d /);
    assert.match(await textOf('use?period=7d&stack=model'), /Models .* haiku 8/);
    await page.goto(`${base}keys`);
    await page.getByText('The charts as a table').click();
    const today = new Date().toISOString().slice(0, 10);
    await page
      .getByText(new RegExp(`^${today}: \\d+$`))
      .first()
      .waitFor();
    await page.goto(`${base}requests`);
    await page.getByLabel('Key').selectOption({ label: 'blog' });
    await page.getByLabel('Status').selectOption({ label: 'answered' });
    await page.getByRole('button', { name: 'Show' }).click();
    const table = await page.locator('table').innerText();
    assert.match(table.replaceAll(/\s+/g, ' '), /blog complete haiku 200/);
    assert.doesNotMatch(table, /cron/);
    assert.match(await textOf('trouble'), /the budget of the key key_budget complete \d/);
    assert.match(await textOf('trouble'), /an address that is not public blocked_address fetch 1/);
    // The page follows the checks, and then stops.
    await page.goto(`${base}doctor`);
    await page.getByText('the disk is full').waitFor();
    assert.match(await textOf('doctor'), /failure disk the disk is full make room/);
    await page.context().close();
  });

  /** The label of what has the focus. */
  const focused = (page: Page) => page.evaluate('document.activeElement.getAttribute("aria-label")');

  test('a view follows new requests without a reload, and the focus stays', async () => {
    const { page, base } = await open();
    await page.goto(`${base}keys`);
    const cell = page.locator('tr', { hasText: 'news' }).locator('td').nth(1);
    const before = await cell.innerText();
    await page.evaluate(() => ((globalThis as { mark?: boolean }).mark = true));
    await page.getByRole('button', { name: 'Revoke news' }).focus();
    assert.equal(await ask(keys['news'] ?? '', {}), 200);
    await eventually('the number changes', async () => (await cell.innerText()) !== before);
    assert.equal(await page.evaluate(() => (globalThis as { mark?: boolean }).mark), true);
    assert.equal(await focused(page), 'Revoke news');
    await page.context().close();
  });

  test('a key is disabled, enabled and revoked, each after two questions or none, by keyboard alone', async () => {
    const { page, base, problems } = await open();
    const key = relay.mint('victim');
    await page.goto(`${base}keys`);
    const press = async (name: string): Promise<void> => {
      await page.getByRole('button', { name, exact: true }).focus();
      await page.keyboard.press('Enter');
    };
    await press('Disable victim');
    assert.equal(await ask(key, {}), 200, 'a question changes nothing');
    await press('Disable it');
    assert.equal(await ask(key, {}), 200, 'the first answer changes nothing');
    await page.keyboard.press('Escape');
    await press('Disable victim');
    await press('Disable it');
    // The second question has the focus.
    await page.keyboard.press('Enter');
    await eventually('it is refused', async () => (await ask(key, {})) === 401);
    await eventually(
      'the focus is on its counterpart',
      async () => (await focused(page)) === 'Enable victim',
    );
    await page.keyboard.press('Enter');
    await eventually('it is accepted', async () => (await ask(key, {})) === 200);
    await eventually('the focus is back', async () => (await focused(page)) === 'Disable victim');
    await press('Revoke victim');
    await press('Revoke it');
    await press('Yes, revoke victim');
    await eventually(
      'it is gone',
      async () => (await page.locator('tr', { hasText: 'victim' }).count()) === 0,
    );
    assert.equal(await ask(key, {}), 401);
    const failed = problems.filter((text) => !text.includes('401'));
    assert.deepEqual(failed, []);
    await page.context().close();
  });

  test('a new key is shown once, and works', async () => {
    const { page, base } = await open();
    await page.goto(`${base}keys`);
    await page.getByRole('button', { name: 'Create a key' }).click();
    await page.getByLabel('Label').fill('blog');
    await page.getByRole('button', { name: 'Create it' }).click();
    await page.getByRole('alert').filter({ hasText: 'There is already a key' }).waitFor();
    await page.getByLabel('Label').fill('printer');
    await page.getByLabel('Requests a day').fill('2');
    await page.getByRole('button', { name: 'Create it' }).click();
    const secret = await page.locator('#secret').innerText();
    assert.match(secret, /^crk_/);
    assert.equal(await ask(secret, {}), 200);
    await page.getByRole('button', { name: 'Done' }).click();
    assert.equal((await page.content()).includes(secret), false);
    await page.locator('tr', { hasText: 'printer' }).filter({ hasText: 'of 2' }).waitFor();
    await page.reload();
    assert.equal((await page.content()).includes(secret), false);
    await page.context().close();
  });

  test('the secret of a new key stays on the screen when the session ends', async () => {
    const { page, base } = await open();
    await page.goto(`${base}keys`);
    await page.locator('[data-act="new-key"]').click();
    await page.getByLabel('Label').fill('kept');
    await page.locator('dialog [type="submit"]').click();
    const secret = await page.locator('#secret').innerText();
    const cookies = await page.context().cookies(`${base}keys`);
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join();
    const headers = ownHeaders(relay.port, { path: base, cookie });
    const out = await relay.send(`${new URL(base).pathname}logout`, { method: 'POST', headers, body: '{}' });
    assert.equal(out.status, 200);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    // As when the owner comes back from another tab. What the page asks now comes before the last request.
    await page.evaluate(`
      document.dispatchEvent(new Event('visibilitychange'));
      fetch('/owner.js').then((response) => response.text())`);
    assert.deepEqual(asked, [`http://127.0.0.1:${relay.port}/owner.js`]);
    assert.equal(await page.locator('#secret').innerText(), secret);
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByText('This page needs a session.').waitFor();
    await page.context().close();
  });

  test('everything can be read without JavaScript, and in forced colours', async () => {
    for (const options of [{ javaScriptEnabled: false }, { forcedColors: 'active' as const }]) {
      const { page, base } = await open(options);
      for (const view of views) {
        await page.goto(base + view);
        assert.equal(
          await page.locator('h1').innerText(),
          view.replace(/^./, (first) => first.toUpperCase()),
        );
        assert.ok((await page.locator('table, dl').count()) > 0, view);
      }
      await page.goto(`${base}requests`);
      await page.getByLabel('Status').selectOption({ label: 'answered' });
      await page.getByRole('button', { name: 'Show' }).click();
      assert.match(page.url(), /status=2/);
      await page.context().close();
    }
  });

  test('the command opens it through a file, and reports it', async () => {
    const desktop = mkdtempSync(join(tmpdir(), 'desktop-'));
    const seen = join(desktop, 'seen');
    writeFileSync(join(desktop, 'xdg-open'), `#!/bin/sh\necho "$1" > '${seen}'\n`, { mode: 0o755 });
    const command = promisify(execFile)(join(root, 'bin/claude-relay'), ['dashboard'], {
      env: {
        PATH: `${desktop}:${process.env['PATH'] ?? ''}`,
        HOME: desktop,
        DISPLAY: ':0',
        DATA_DIR: relay.dataDir,
        ADMIN_PORT: String(relay.port),
      },
    });
    await eventually('the file is there', () => existsSync(seen) && readFileSync(seen, 'utf8') !== '');
    const page = await browser.newPage();
    await page.goto(`file://${readFileSync(seen, 'utf8').trim()}`);
    await page.waitForURL('**/now');
    assert.equal(await page.locator('h1').innerText(), 'Now');
    assert.equal((await command).stderr, 'Opened the page in your browser.\n');
    await page.close();
    rmSync(desktop, { recursive: true });
  });

  test('a foreign site cannot frame it, rebind its name to it, or use its session', async (t) => {
    const { page, base } = await open();
    const foreign = createServer((request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end(
        request.url === '/frame'
          ? `<iframe src="${base}keys"></iframe>`
          : `<form method="post" enctype="text/plain" action="${base}keys/cron/revoke"><button>x</button></form>`,
      );
    });
    const port = await listenOn('127.0.0.1', foreign);
    t.after(() => foreign.close());

    await page.goto(`http://evil.example:${port}/frame`);
    await eventually(
      'the frame is refused',
      () => page.frames()[1]?.url().startsWith('chrome-error:') === true,
    );

    const rebound = await page.goto(`${base.replace('127.0.0.1', 'evil.example')}keys`);
    assert.equal(rebound?.status(), 421);

    await page.goto(`http://evil.example:${port}/form`);
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url().includes('/revoke')),
      page.getByRole('button').click(),
    ]);
    assert.equal(answer.status(), 403);
    await page.goto(`http://evil.example:${port}/form`);
    const fetched = await page.evaluate(
      (url) => fetch(url, { credentials: 'include' }).then(String, () => 'refused'),
      `${base}keys`,
    );
    assert.equal(fetched, 'refused');
    // A link from another site does not carry the cookie.
    const followed = await Promise.all([
      page.waitForResponse((response) => response.url() === `${base}keys`),
      page.evaluate(`location.assign('${base}keys')`),
    ]);
    assert.equal(followed[0].status(), 401);
    assert.equal(await ask(keys['cron'] ?? '', {}), 200);
    await page.context().close();
  });
});
