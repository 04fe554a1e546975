/** A user with a throwaway HOME and a fake service manager: `test/fixtures/service/stand-in.ts`. */
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type FailingModel, startFailingModel } from './failing-model.ts';
import { freePort } from './ports.ts';
import { newest, root } from './relay.ts';

export type Said = { status: number; stdout: string; stderr: string };

export type ServiceUser = {
  home: string;
  /** The files of the fake service manager: `calls`, `linger`, `<service>.log`; and files that make it fail. */
  state: string;
  configFile: string;
  dataDir: string;
  port: number;
  url: string;
  model: FailingModel;
  /** Runs a command of the checkout as this user. */
  run: (file: string, args: readonly string[], env?: Record<string, string | undefined>) => Promise<Said>;
  /** Runs shell commands as this user, in the home directory; resolves to what they print. */
  shell: (script: string) => Promise<string>;
  /** Adds a program to this user's PATH. */
  program: (name: string, script: string) => void;
  /** Sets a condition of the fake service manager: `no-bus`, `no-namespaces`, ... */
  let: (fact: string, is?: boolean) => void;
  calls: () => string[];
  unit: (service?: string) => string;
  env: Readonly<Record<string, string>>;
  close: () => Promise<void>;
};

const standIn = join(root, 'test/fixtures/service/stand-in.ts');

export async function serviceUser(settings: Record<string, string> = {}): Promise<ServiceUser> {
  const scratch = mkdtempSync(join(tmpdir(), 'service-test-'));
  // With a space: paths are quoted.
  const home = join(scratch, 'home of me');
  const [state, bin] = [join(scratch, 'state'), join(scratch, 'bin')];
  for (const directory of [home, state, bin]) mkdirSync(directory);
  const model = await startFailingModel({ reply: () => ({ kind: 'text', text: 'hello' }) });
  const port = await freePort();
  const configFile = join(scratch, 'config.env');
  const given = {
    PORT: String(port),
    CLAUDE_BIN: newest,
    WARM_SPARES: '0',
    ANTHROPIC_API_KEY: 'sk-ant-stub',
    ...settings,
  };
  writeFileSync(
    configFile,
    Object.entries(given)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  writeFileSync(
    join(state, 'environment'),
    JSON.stringify({ ANTHROPIC_BASE_URL: model.url, TMPDIR: scratch }),
  );
  const program = (name: string, script: string): void => {
    writeFileSync(join(bin, name), script);
    chmodSync(join(bin, name), 0o755);
  };
  for (const name of ['systemctl', 'loginctl', 'journalctl', 'systemd-run', 'launchctl']) {
    program(
      name,
      `#!/bin/sh\nSTAND_IN_STATE='${state}' exec '${process.execPath}' '${standIn}' ${name} "$@"\n`,
    );
  }
  const base: Record<string, string> = {
    HOME: home,
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    TMPDIR: scratch,
    ANTHROPIC_BASE_URL: model.url,
  };
  const unit = (service = 'claude-relay.service'): string => join(home, '.config/systemd/user', service);
  return {
    home,
    state,
    configFile,
    dataDir: join(home, '.local/share/claude-relay'),
    port,
    url: `http://127.0.0.1:${port}`,
    model,
    run: (file, args, env = {}) =>
      new Promise((resolve) => {
        const whole = Object.fromEntries(
          Object.entries({ ...base, ...env }).filter(([, value]) => value !== undefined),
        );
        execFile(join(root, file), args, { env: whole, encoding: 'utf8' }, (error, stdout, stderr) => {
          resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
        });
      }),
    shell: async (script) => {
      const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
        env: base,
        cwd: home,
      });
      return stdout;
    },
    program,
    let: (fact, is = true) => {
      if (is) writeFileSync(join(state, fact), '');
      else rmSync(join(state, fact), { force: true });
    },
    calls: () =>
      existsSync(join(state, 'calls')) ? readFileSync(join(state, 'calls'), 'utf8').trim().split('\n') : [],
    unit,
    env: base,
    close: async () => {
      for (const name of [
        'claude-relay',
        'claude-relay.service',
        'claude-relay-ngrok.service',
        'claude-relay-cloudflared.service',
      ]) {
        const file = join(state, `${name}.pid`);
        if (!existsSync(file)) continue;
        try {
          process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
        } catch {
          // Stopped already.
        }
      }
      await model.close();
      rmSync(scratch, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}
