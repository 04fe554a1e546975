import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ConfigError, loadConfig, loadConfigIfValid } from './config.ts';
import { unfairLimits } from './commands/settings-warnings.ts';
import { settings } from './settings.ts';

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-test-'));
});
after(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const path = join(directory, 'config.env');
  writeFileSync(path, text);
  return path;
}

function problems(env: Record<string, string>, text = ''): readonly string[] {
  try {
    loadConfig({ env, file: file(text) });
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

const inLane = (lane: string, limits: object) => ({ limits: { lanes: { [lane]: limits } } });

/** For each setting: a value that is not the default, what it becomes, and values that are refused. */
const cases: Record<string, { good: string; becomes: object; bad: string[]; env?: Record<string, string> }> =
  {
    PORT: { good: '0', becomes: { port: 0 }, bad: ['', 'http', '65536', '-1', '1.5', '0x10', ' 80'] },
    HOST: {
      good: '127.0.0.2',
      becomes: { host: '127.0.0.2' },
      bad: [
        '',
        '0.0.0.0',
        '::',
        'fe80::1%eth0',
        '10.0.0.1',
        '127.0.0.999',
        '127.0.0.1.example.org',
        'example.org',
        '127.1',
      ],
    },
    ALLOW_REMOTE_BIND: {
      good: '1',
      env: { HOST: '0.0.0.0' },
      becomes: { host: '0.0.0.0' },
      bad: ['yes', 'true', '2', ''],
    },
    TRUST_PROXY: {
      good: ' loopback, 10.0.0.0/8,',
      becomes: { trustProxy: ['loopback', '10.0.0.0/8'] },
      bad: ['everyone', 'localhost', '10.0.0.0/33', 'loopback,proxy.example.com', '10.0.0.1:8080', '*'],
    },
    CORS_ORIGINS: {
      good: 'https://app.example.com, http://localhost:3000',
      becomes: { corsOrigins: ['https://app.example.com', 'http://localhost:3000'] },
      bad: [
        ...['*', 'https://*.example.com', 'null', 'app.example.com', 'https://app.example.com/'],
        ...[
          'https://App.example.com',
          'https://app.example.com:443',
          'file:///x',
          'https://me@app.example.com',
        ],
      ],
    },
    DATA_DIR: {
      good: '/srv/relay',
      becomes: { dataDir: '/srv/relay' },
      bad: ['relative', './x', '~/x', '/srv/relay\n'],
    },
    CLAUDE_BIN: {
      good: '/opt/claude',
      becomes: { claudeBin: '/opt/claude' },
      bad: ['claude', './claude', '/opt/\tclaude'],
    },
    DEFAULT_MODEL: { good: 'haiku', becomes: { defaultModel: 'haiku' }, bad: ['', '--x', 'a b', 'other'] },
    ALLOWED_MODELS: {
      // A model counts once.
      good: 'opus, claude-sonnet-4-5-20250929, opus',
      becomes: { allowedModels: ['opus', 'claude-sonnet-4-5-20250929'] },
      bad: ['', ' , ', 'opus,--help', 'opus haiku'],
    },
    MODEL_ALIASES: {
      good: 'gpt-4o=sonnet, gpt-4o-mini = claude-haiku-4-5-20251001',
      becomes: {
        modelAliases: new Map([
          ['gpt-4o', 'sonnet'],
          ['gpt-4o-mini', 'claude-haiku-4-5-20251001'],
        ]),
      },
      bad: [
        'gpt-4o',
        'gpt-4o=',
        '=sonnet',
        'a=b=c',
        'a=sonnet,a=opus',
        'a=--x',
        'a=fable',
        'a=claude-fable-4',
      ],
    },
    STRICT_MODELS: { good: '1', becomes: { strictModels: true }, bad: ['yes', ''] },
    MAX_ATTACHMENT_BYTES: { good: '0', becomes: { maxAttachmentBytes: 0 }, bad: ['-1', '67108865', '20MB'] },
    MAX_INPUT_BYTES: { good: '2048', becomes: { maxInputBytes: 2048 }, bad: ['1023', '67108865', '1MB'] },
    REQ_TIMEOUT: { good: '5', becomes: { requestTimeoutMs: 5000 }, bad: ['0', '3601', '5s'] },
    GLOBAL_CONCURRENCY: {
      good: '3',
      becomes: inLane('complete', { concurrency: 3, keyConcurrency: 2 }),
      bad: ['65', 'all'],
    },
    PER_KEY_CONCURRENCY: { good: '1', becomes: inLane('complete', { keyConcurrency: 1 }), bad: ['-1'] },
    PER_KEY_RPM: { good: '0', becomes: inLane('complete', { keyRpm: 0 }), bad: ['1000001', 'none'] },
    PER_KEY_DAILY: { good: '7', becomes: inLane('complete', { keyDaily: 7 }), bad: ['1e3'] },
    GLOBAL_DAILY: { good: '8', becomes: inLane('complete', { globalDaily: 8 }), bad: ['∞'] },
    FALLBACK_USD_DAILY: {
      good: '2.50',
      becomes: { limits: { fallbackUsd: 2.5 } },
      bad: ['-1', '0.001', 'all'],
    },
    QUEUE_MAX: { good: '0', becomes: { limits: { queueMax: 0 } }, bad: ['10001'] },
    QUEUE_TIMEOUT: { good: '2', becomes: { limits: { queueTimeoutMs: 2000 } }, bad: ['-1', '3601'] },
    DRAIN_TIMEOUT: { good: '0', becomes: { drainTimeoutMs: 0 }, bad: ['601'] },
    FETCH_CONCURRENCY: {
      good: '2',
      becomes: inLane('fetch', { concurrency: 2, keyConcurrency: 1 }),
      bad: ['-1'],
    },
    FETCH_RPM: { good: '3', becomes: inLane('fetch', { keyRpm: 3 }), bad: ['x'] },
    FETCH_DAILY: { good: '4', becomes: inLane('fetch', { keyDaily: 4 }), bad: ['1.5'] },
    FETCH_GLOBAL_DAILY: { good: '0', becomes: inLane('fetch', { globalDaily: 0 }), bad: ['1000001'] },
    FETCH_PORTS: {
      good: '443, 8443',
      becomes: { fetch: { ports: [443, 8443] } },
      bad: ['', '0', '80,http', '65536'],
    },
    FETCH_DENY_CIDRS: {
      good: '203.0.113.7, 2001:db8::/32',
      becomes: { fetch: { denyCidrs: ['203.0.113.7', '2001:db8::/32'] } },
      bad: [
        '203.0.113.0/33',
        '203.0.113.0/24/1',
        'example.org',
        '203.0.113.7/',
        '2001:db8::/129',
        'fe80::1%1/64',
      ],
    },
    FETCH_NAT64: {
      good: '64:ff9b::/96',
      becomes: { fetch: { nat64: '64:ff9b::/96' } },
      bad: [
        ...['64:ff9b::/64', '64:ff9b::', '10.0.0.0/96', '64:ff9b::/096', '64:ff9b::/96/1', '/96'],
        ...[
          ':::/96',
          '1:2:3:4:5:6:7:8::/96',
          '12345::/96',
          'fe80::%1/96',
          '64:ff9b:1::/96',
          '64:ff9b:1:2::/96',
        ],
      ],
    },
    FETCH_IPV6: { good: '0', becomes: { fetch: { ipv6: false } }, bad: ['no', ''] },
    FETCH_USER_AGENT: {
      good: 'my-app/2 (me)',
      becomes: { fetch: { userAgent: 'my-app/2 (me)' } },
      bad: ['', ' x', 'a\r\nx: y', 'é', 'x'.repeat(201)],
    },
    ADMIN_PORT: { good: '0', becomes: { adminPort: 0 }, bad: ['65536', '-1', ''] },
    GLOBAL_USD_DAILY: {
      good: '2.5',
      becomes: { limits: { budget: { usd: 2.5, tokens: 0 } } },
      bad: ['-1', 'x', '0.001'],
    },
    GLOBAL_TOKENS_DAILY: {
      good: '5000',
      becomes: { limits: { budget: { tokens: 5000 } } },
      bad: ['-1', '1.5'],
    },
    SEAL: { good: 'required', becomes: { seal: 'required' }, bad: ['on', 'AUTO', ''] },
    WARM_SPARES: { good: '0', becomes: { pool: { spares: 0 } }, bad: ['9'] },
    HOT_PROCESSES: { good: '0', becomes: { pool: { hot: 0 } }, bad: ['65', '-1'] },
    HOT_IDLE: { good: '60', becomes: { pool: { hotIdleMs: 60_000 } }, bad: ['0', '86401'] },
    WAITING_MEMORY: { good: '64', becomes: { pool: { memoryBytes: 67_108_864 } }, bad: ['63', ''] },
    SPARE_MAX_AGE: { good: '60', becomes: { pool: { maxAgeMs: 60_000 } }, bad: ['9', '86401'] },
    JOB_TTL: { good: '10', becomes: { jobTtlMs: 10_000 }, bad: ['9', '86401'] },
    LEDGER_DAYS: { good: '1', becomes: { ledgerDays: 1 }, bad: ['0', '3651'] },
    LOG_LEVEL: { good: 'silent', becomes: { logLevel: 'silent' }, bad: ['loud', 'INFO', ''] },
    NGROK_DOMAIN: {
      good: 'X.ngrok.app',
      becomes: { ngrokDomain: 'x.ngrok.app' },
      bad: [
        ...['https://x/', 'https://x.ngrok.app', 'x.ngrok.app/', 'x.ngrok.app:443', 'x.ngrok.app.'],
        ...['localhost', '203.0.113.7', '*.ngrok.app', 'a,b.example.com', 'x_y.example.com'],
      ],
    },
  };

test('every setting has a case', () => {
  assert.deepEqual(Object.keys(cases).sort(), [...settings.keys()].sort());
});

for (const [name, { good, becomes, bad, env = {} }] of Object.entries(cases)) {
  test(`${name} is parsed, and values that are not valid are refused`, () => {
    const config = loadConfig({ env: { HOME: '/home/owner', ...env, [name]: good } });
    assert.partialDeepStrictEqual(config, becomes);
    for (const value of bad) {
      const said = problems({ ...env, [name]: value });
      assert.ok(said.length > 0, `${name}=${value}`);
      assert.ok(
        said.some((sentence) => sentence.includes(name) && sentence.includes(JSON.stringify(value))),
        said.join('\n'),
      );
    }
  });
}

test('a DEFAULT_MODEL outside ALLOWED_MODELS is refused', () => {
  assert.match(problems({ ALLOWED_MODELS: 'sonnet' }).join(), /^DEFAULT_MODEL must be one of .*\(sonnet\)/);
});

test('a MODEL_ALIASES entry that renames an allowed model is refused', () => {
  assert.match(
    problems({ MODEL_ALIASES: 'gpt-4o=sonnet,opus=haiku' }).join('\n'),
    /^MODEL_ALIASES must not rename a model of ALLOWED_MODELS; it has "opus=haiku"\. Remove opus from one of them$/,
  );
});

test('a relative CLAUDE_CONFIG_DIR is refused, and an empty one is ignored', () => {
  assert.match(
    problems({ CLAUDE_CONFIG_DIR: '.claude' }).join(),
    /^CLAUDE_CONFIG_DIR must be an absolute path/,
  );
  assert.equal(loadConfig({ env: { CLAUDE_CONFIG_DIR: '' } }).hostEnv['CLAUDE_CONFIG_DIR'], undefined);
});

test('an API and a proxy that no process could be led to are refused', () => {
  const bad = { ANTHROPIC_BASE_URL: 'localhost:4000', HTTPS_PROXY: 'socks5://p:1', http_proxy: 'http://:0:' };
  assert.deepEqual(
    problems(bad),
    Object.keys(bad).map((name) => `${name} must be an http or https URL`),
  );
  assert.deepEqual(problems({ ANTHROPIC_BASE_URL: 'http://localhost:4000', HTTPS_PROXY: 'p:3128' }), []);
});

test('every default value is valid', () => {
  assert.deepEqual(problems({}), []);
  for (const [name, { default: value }] of settings) assert.deepEqual(problems({ [name]: value }), []);
});

describe('the share of one key', () => {
  const load = (env: Record<string, string>) => loadConfig({ env });

  test('one key can use all slots but one unless PER_KEY_CONCURRENCY is set', () => {
    const shares = (['0', '1', '2', '4'] as const).map((slots) => {
      const config = load({ GLOBAL_CONCURRENCY: slots, FETCH_CONCURRENCY: slots });
      const { complete, fetch } = config.limits.lanes;
      return [complete.keyConcurrency, fetch.keyConcurrency];
    });
    assert.deepEqual(shares, [
      [0, 0],
      [1, 1],
      [1, 1],
      [3, 3],
    ]);
    const { complete } = load({ GLOBAL_CONCURRENCY: '2', PER_KEY_CONCURRENCY: '2' }).limits.lanes;
    assert.equal(complete.keyConcurrency, 2);
  });

  test('a request can wait as long as one can run and its process takes to end', () => {
    assert.equal(load({ REQ_TIMEOUT: '60' }).limits.queueTimeoutMs, 70_000);
    assert.equal(load({ REQ_TIMEOUT: '60', QUEUE_TIMEOUT: '5' }).limits.queueTimeoutMs, 5_000);
  });

  test('unfairLimits names settings that let one key keep another out', () => {
    assert.deepEqual(unfairLimits(load({})), []);
    assert.deepEqual(unfairLimits(load({ GLOBAL_CONCURRENCY: '0', QUEUE_MAX: '0' })), []);
    assert.match(unfairLimits(load({ QUEUE_MAX: '0' })).join(), /^QUEUE_MAX is 0/);
    assert.match(
      unfairLimits(load({ QUEUE_TIMEOUT: '30' })).join(),
      /^QUEUE_TIMEOUT \(30\) is below REQ_TIMEOUT \(300\)/,
    );
  });
});

describe('sources', () => {
  test('the environment wins over the file, and the file over the default', () => {
    const path = file('PORT=1111\nQUEUE_MAX=3\n');
    const config = loadConfig({ env: { PORT: '2222' }, file: path });
    assert.deepEqual([config.port, config.limits.queueMax, config.limits.queueTimeoutMs], [2222, 3, 310_000]);
  });

  test('a missing settings file is ignored, and an unreadable one is an error', () => {
    assert.equal(loadConfig({ env: {}, file: join(directory, 'none') }).port, 8799);
    assert.throws(() => loadConfig({ env: {}, file: directory }), /cannot be read/);
  });

  test('the default data directory is under XDG_DATA_HOME or HOME', () => {
    const dataDir = (env: Record<string, string>): string => loadConfig({ env }).dataDir;
    assert.equal(dataDir({ HOME: '/home/owner' }), '/home/owner/.local/share/claude-relay');
    assert.equal(dataDir({ HOME: '/home/owner', XDG_DATA_HOME: '/data' }), '/data/claude-relay');
  });

  test('the settings file can hold a login, and the environment wins over it', () => {
    const path = file('CLAUDE_CODE_OAUTH_TOKEN=file\nANTHROPIC_API_KEY=file\n');
    const { hostEnv } = loadConfig({ env: { ANTHROPIC_API_KEY: 'environment' }, file: path });
    assert.equal(hostEnv['CLAUDE_CODE_OAUTH_TOKEN'], 'file');
    assert.equal(hostEnv['ANTHROPIC_API_KEY'], 'environment');
  });
});

describe('a login in a file', () => {
  const secretFile = (text: string): string => {
    const path = join(directory, 'secret');
    writeFileSync(path, text);
    return path;
  };

  test('the text of a secret file is the login, without the newline at its end', () => {
    const path = secretFile('sk-ant-file\n');
    for (const name of [
      'CLAUDE_CODE_OAUTH_TOKEN',
      'ANTHROPIC_API_KEY',
      'ANTHROPIC_AUTH_TOKEN',
      'FALLBACK_ANTHROPIC_API_KEY',
    ]) {
      const variable = `${name}_FILE`;
      for (const [env, text] of [
        [{ [variable]: path, [name]: '' }, ''],
        [{}, `${variable}=${path}\n`],
        [{ [variable]: path }, `${name}=other\n`],
      ] as const) {
        const { hostEnv } = loadConfig({ env, file: file(text) });
        assert.equal(hostEnv[name], 'sk-ant-file');
        assert.equal(hostEnv[variable], undefined);
      }
    }
    const { hostEnv } = loadConfig({
      env: { ANTHROPIC_API_KEY: 'mine' },
      file: file(`ANTHROPIC_API_KEY_FILE=${path}\n`),
    });
    assert.equal(hostEnv['ANTHROPIC_API_KEY'], 'mine', 'the environment wins');
    assert.deepEqual(problems({ ANTHROPIC_API_KEY_FILE: '' }), []);
  });

  test('a secret file that cannot be used is refused without its text', () => {
    const name = 'ANTHROPIC_API_KEY_FILE';
    const path = join(directory, 'secret');
    const cases: [text: string, problem: string][] = [
      ['', `${name} names ${path}, which is empty`],
      ['\n', `${name} names ${path}, which is empty`],
      ['sk-ant-one\nsk-ant-two', `${name} names ${path}, which must hold one line of text`],
      ['sk-ant-\0', `${name} names ${path}, which must hold one line of text`],
    ];
    for (const [text, problem] of cases) {
      secretFile(text);
      assert.deepEqual(problems({ [name]: path }), [problem]);
      assert.deepEqual(problems({}, `${name}=${path}\n`), [problem]);
    }
    assert.deepEqual(problems({ [name]: join(directory, 'none') }), [
      `${name} names ${join(directory, 'none')}, which this user cannot read (ENOENT)`,
    ]);
    assert.deepEqual(problems({ [name]: directory }), [
      `${name} names ${directory}, which this user cannot read (EISDIR)`,
    ]);
    assert.deepEqual(problems({ [name]: 'sk-ant-pasted' }), [`${name} must be the absolute path of a file`]);
  });

  test('a login and its file in one place are refused', () => {
    const path = secretFile('sk-ant-file');
    const said = 'ANTHROPIC_API_KEY and ANTHROPIC_API_KEY_FILE are both set; remove one';
    assert.deepEqual(problems({ ANTHROPIC_API_KEY: 'mine', ANTHROPIC_API_KEY_FILE: path }), [said]);
    assert.deepEqual(problems({}, `ANTHROPIC_API_KEY=mine\nANTHROPIC_API_KEY_FILE=${path}\n`), [said]);
  });
});

describe('what is not a setting', () => {
  test('an unknown setting in the file is an error that names the nearest setting', () => {
    assert.match(problems({}, 'GLOBAL_CONCURENCY=2\n').join(), /did you mean GLOBAL_CONCURRENCY\?$/);
    assert.match(problems({}, 'PROT=1\n').join(), /did you mean PORT\?$/);
    assert.match(
      problems({}, 'NODE_OPTIONS=--inspect\n').join(),
      /not a setting; config\.env\.example lists them/,
    );
  });

  test('a line that sets nothing is an error with its number and without its text', () => {
    for (const line of ['PORT 8800', 'PORT: 8800', '- PORT', '[relay]', 'export PORT', '=8800'])
      assert.match(
        problems({}, `# mine\n\n${line}\nLOG_LEVEL=warn\n`).join(),
        /config\.env, line 3: write NAME=value, or # and a comment$/,
        line,
      );
    const fine =
      '\ufeff# mine\r\n\r\n  PORT = 8800 # why\r\nexport LOG_LEVEL="warn"\r\nANTHROPIC_API_KEY="two\nlines"\n\t\n';
    assert.deepEqual(problems({}, fine), []);
    const { port, logLevel, hostEnv } = loadConfig({ env: {}, file: file(fine) });
    assert.deepEqual([port, logLevel, hostEnv['ANTHROPIC_API_KEY']], [8800, 'warn', 'two\nlines']);
  });

  test('an unknown variable of the environment is ignored', () => {
    assert.deepEqual(problems({ GLOBAL_CONCURENCY: '2', EDITOR: 'vi' }), []);
  });

  test('loadConfig reports all problems together', () => {
    const said = problems({ PORT: 'x', LOG_LEVEL: 'loud' }, 'NO_SUCH=1\n');
    for (const name of ['PORT', 'LOG_LEVEL', 'NO_SUCH'])
      assert.ok(
        said.some((sentence) => sentence.startsWith(name)),
        name,
      );
  });
});

test('loadConfigIfValid returns the environment if the settings are not valid', () => {
  const env = { HOME: '/home/me', PORT: '1234' };
  assert.equal(loadConfigIfValid(file(''), env).config?.port, 1234);
  assert.deepEqual(loadConfigIfValid(file('PORT'), env), { config: undefined, env });
});

test('only config.ts reads process.env', () => {
  const readers = globSync('**/*.ts', { cwd: import.meta.dirname })
    .filter((name) => !name.endsWith('.test.ts'))
    .filter((name) => readFileSync(join(import.meta.dirname, name), 'utf8').includes('process.env'));
  assert.deepEqual(readers, ['config.ts']);
});

test('an ADMIN_PORT that is also the PORT is refused', () => {
  assert.match(problems({ ADMIN_PORT: '8799' }).join(), /^ADMIN_PORT must be another port than PORT, or 0/);
  assert.match(problems({ PORT: '8798' }).join(), /^ADMIN_PORT must be another port than PORT, or 0/);
  assert.deepEqual(problems({ PORT: '0', ADMIN_PORT: '0' }), []);
});
