/**
 * The lock: the flags and the environment under which nothing in a prompt can reach the host.
 *
 * Pure. Each entry closes one hole that was measured on real builds of the CLI (2.1.197 and 2.1.330); the proof checks the result
 * with the installed build, because the next one can change any of it.
 */

/** Flags of every process the relay starts. The caller's text is never among them: argv is readable by every local user. */
export function lockedArgs(model: string): string[] {
  return [
    '-p',
    '--input-format',
    'stream-json',
    '--output-format',
    'stream-json',
    '--verbose',
    '--include-partial-messages',
    // No tool is offered to the model. A deny-list would miss the tools of the next build.
    '--tools=',
    // No MCP server starts: only this empty set is used. (The CLI refuses a bare `{}`.)
    '--strict-mcp-config',
    '--mcp-config',
    '{"mcpServers":{}}',
    // No settings file of the host is read: no hook, permission rule, output style, plugin or variable.
    '--setting-sources=',
    '--disable-slash-commands',
    // 2.1.300 would begin in a mode in which each request names the home directory, the working directory and the platform.
    '--permission-mode',
    'default',
    // The CLI reports every hook that an administrator's managed settings start anyway; the turn then ends.
    '--include-hook-events',
    // Nothing of the conversation is written under the config directory.
    '--no-session-persistence',
    // A call of a tool that was not offered cannot make the CLI ask again; a kill at the first sign can come too late.
    '--max-turns',
    '1',
    // No other model answers, whatever `fallbackModel` an organisation sets: 2.1.197 would ask it for a model that the API does not know.
    '--fallback-model=',
    '--model',
    model,
  ];
}

/** Set on every process, whatever the host's environment says. */
const fixedEnv = {
  DISABLE_AUTOUPDATER: '1',
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  // `@path` in a prompt makes the CLI read the file and send it to the model, without a tool.
  CLAUDE_CODE_DISABLE_ATTACHMENTS: '1',
  CLAUDE_CODE_DISABLE_FILE_MENTIONS: '1',
  CLAUDE_CODE_DISABLE_CLAUDE_MDS: '1',
  CLAUDE_CODE_DISABLE_AUTO_MEMORY: '1',
  CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: '1',
  // 2.1.330 opens a socket through which every process of the same user, such as another Claude Code session, can put a message
  // into a running turn or a waiting process. A restricted session has none, and refuses to bypass permissions.
  CLAUDE_CODE_RESTRICTED: '1',
  // The runtime collects garbage while a spare only waits, for a quarter of all the processor time that a request costs (2.1.330).
  BUN_GC_TIMER_DISABLE: '1',
  // The CLI's ten silent retries would hold a caller for minutes; the relay reports a failure at once.
  CLAUDE_CODE_MAX_RETRIES: '0',
  // After a stream that broke off it would ask the model for the whole answer again, and print that one without stream events.
  CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: '1',
  // After a refusal 2.1.330 would ask once more.
  CLAUDE_CODE_DISABLE_REFUSAL_RETRY: '1',
  // It keeps its own conversation, which no model sees, and would summarise it or refuse when that is as long as the window.
  DISABLE_COMPACT: '1',
  CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE: '1000000000',
  // After a refusal with a category it would ask another model, and leave the details out of the answer (2.1.330).
  CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK: '1',
  // For a model that is overloaded, unknown or not allowed it would ask another one (2.1.332). A key's fallback is the relay's.
  CLAUDE_CODE_NO_MODEL_FALLBACK: '1',
} as const;

/** The variables that hold or choose a login, or lead to the upstream. The proof leaves them out and puts a dummy in their place. */
const loginEnv = [
  'CLAUDE_CODE_OAUTH_TOKEN',
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'ANTHROPIC_BASE_URL',
  'CLAUDE_CODE_USE_BEDROCK',
  'CLAUDE_CODE_SKIP_BEDROCK_AUTH',
  'ANTHROPIC_BEDROCK_BASE_URL',
  'AWS_PROFILE',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_BEARER_TOKEN_BEDROCK',
  'CLAUDE_CODE_USE_VERTEX',
  'CLAUDE_CODE_SKIP_VERTEX_AUTH',
  'ANTHROPIC_VERTEX_BASE_URL',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'http_proxy',
  'https_proxy',
  'NO_PROXY',
  'no_proxy',
] as const;

/** What passes from the host's environment: the login, the way to the upstream, and the locale. An allow-list, never a copy with removals. */
export const passedEnv: ReadonlySet<string> = new Set([
  ...loginEnv,
  'HOME',
  'PATH',
  'LANG',
  'TZ',
  'USER',
  'LOGNAME',
  'XDG_CONFIG_HOME',
  'CLAUDE_CONFIG_DIR',
  'ANTHROPIC_DEFAULT_OPUS_MODEL',
  'ANTHROPIC_DEFAULT_SONNET_MODEL',
  'ANTHROPIC_DEFAULT_HAIKU_MODEL',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'ANTHROPIC_VERTEX_PROJECT_ID',
  'CLOUD_ML_REGION',
  'GOOGLE_CLOUD_PROJECT',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
]);

export type HostEnv = Readonly<Record<string, string | undefined>>;

/** Another provider than Anthropic's API or a gateway for it. The CLI, too, reads `0` as off (2.1.197, 2.1.332). */
export function goesElsewhere(hostEnv: HostEnv): boolean {
  return ['CLAUDE_CODE_USE_BEDROCK', 'CLAUDE_CODE_USE_VERTEX'].some(
    (name) => !/^(?:|0|false|no|off)$/i.test(hostEnv[name] ?? ''),
  );
}

/**
 * The host's environment with its second login, FALLBACK_ANTHROPIC_API_KEY, in place of the others: the CLI then uses no stored one.
 * Undefined without one, and where the model is at another provider.
 */
export function fallbackHost(host: HostEnv): HostEnv | undefined {
  const {
    FALLBACK_ANTHROPIC_API_KEY: key,
    CLAUDE_CODE_OAUTH_TOKEN: _,
    ANTHROPIC_AUTH_TOKEN: __,
    ...rest
  } = host;
  return key === undefined || key === '' || goesElsewhere(host)
    ? undefined
    : { ...rest, ANTHROPIC_API_KEY: key };
}

/** The API itself, or a gateway for it. Null: its URL is not valid. */
export function apiOf(hostEnv: HostEnv): URL | null {
  return URL.parse(hostEnv['ANTHROPIC_BASE_URL'] || 'https://api.anthropic.com');
}

const proxyVariables: ReadonlySet<string> = new Set(
  ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'].flatMap((name) => [name, name.toLowerCase()]),
);

/**
 * The environment of a locked process. `tmpDir` is its temporary directory. `wayOut`: the variables that lead it through its valve, in
 * place of the proxy of the host; undefined when it has none.
 */
export function lockedEnv(
  host: HostEnv,
  tmpDir: string,
  wayOut?: Readonly<Record<string, string>>,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(host)) {
    const passes = passedEnv.has(name) || name.startsWith('LC_');
    if (value === undefined || !passes || (wayOut !== undefined && proxyVariables.has(name))) continue;
    env[name] = value;
  }
  return { ...env, ...wayOut, TMPDIR: tmpDir, ...fixedEnv };
}

/** The ways in which owners are logged in: a key of the API, a token of `claude setup-token`, and the login that the CLI stored. */
export const dummyLogins = ['api-key', 'setup-token', 'stored-login'] as const;
export type DummyLogin = (typeof dummyLogins)[number];

/** The dummy login in `.credentials.json`. It never expires, so the CLI does not refresh it. */
export const dummyCredentials = {
  accessToken: 'sk-ant-oat01-stored-stub',
  refreshToken: 'sk-ant-ort01-stub',
  expiresAt: 4_102_444_800_000,
  scopes: ['user:inference', 'user:profile'],
  subscriptionType: 'max',
} as const;

/** The header with which the CLI sends each dummy. */
export const dummyHeaders: Readonly<Record<DummyLogin, readonly [name: string, value: string]>> = {
  'api-key': ['x-api-key', 'sk-ant-stub'],
  'setup-token': ['authorization', 'Bearer sk-ant-oat01-stub'],
  'stored-login': ['authorization', `Bearer ${dummyCredentials.accessToken}`],
};

/**
 * The host's environment with a dummy login for the stand-in at `baseUrl`: for the proof and the demo. A stored login has no variable;
 * it is in the configuration directory.
 */
export function standInHost<Value extends string | undefined>(
  host: Readonly<Record<string, Value>>,
  baseUrl: string,
  login: DummyLogin = 'api-key',
): Record<string, Value | string> {
  const env: Record<string, Value> = { ...host };
  for (const name of [...loginEnv, 'FALLBACK_ANTHROPIC_API_KEY']) delete env[name];
  return {
    ...env,
    ANTHROPIC_BASE_URL: baseUrl,
    ...(login === 'api-key' ? { ANTHROPIC_API_KEY: 'sk-ant-stub' } : {}),
    ...(login === 'setup-token' ? { CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-stub' } : {}),
  };
}
