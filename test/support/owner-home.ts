/** A home whose configuration names a made-up person, in its path too, with a dummy login of one kind. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPerson, makeCanaryHome } from '../../src/claude/proof/canary-home.ts';
import type { DummyLogin } from '../../src/claude/lock.ts';

export const person = createPerson();

export type OwnerHome = {
  home: string;
  /** The person's and the login's variables; undefined removes a variable of the environment. */
  env: Record<string, string | undefined>;
  remove: () => void;
};

export function makeOwnerHome(login: DummyLogin): OwnerHome {
  const directory = mkdtempSync(join(tmpdir(), 'owner-home-'));
  const home = join(directory, person.user);
  const config = join(home, '.claude');
  mkdirSync(home);
  makeCanaryHome(config, { HOME: join(directory, 'none') }, person, login);
  return {
    home,
    env: {
      // The CLI looks for `.claude.json` there only if the directory is named.
      CLAUDE_CONFIG_DIR: config,
      USER: person.user,
      LOGNAME: person.user,
      ANTHROPIC_API_KEY: login === 'api-key' ? 'sk-ant-stub' : undefined,
      CLAUDE_CODE_OAUTH_TOKEN: login === 'setup-token' ? 'sk-ant-oat01-stub' : undefined,
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
