/**
 * A configuration directory for the proof: that of the host, but with another person and a dummy login.
 *
 * Most owners have a subscription login and a `.claude.json` that names its account. With them, the CLI puts more into its own
 * messages than with an API key (the account's e-mail address: 2.1.197, 2.1.330 and 2.1.332).
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { dummyCredentials, type DummyLogin, type HostEnv } from '../lock.ts';

export type CanaryPerson = ReturnType<typeof createPerson>;

export function createPerson() {
  const id = randomBytes(6).toString('hex');
  return {
    email: `canary-person-${id}@example.invalid`,
    displayName: `Canary Person ${id}`,
    organisation: `Canary Organisation ${id}`,
    /** What the environment names as the user. */
    user: `canary-user-${id}`,
    organisationId: randomUUID(),
    /** The API is sent this one with every request, in `metadata.user_id`. */
    accountId: randomUUID(),
  };
}

/** Where the CLI keeps its configuration. */
export function configDirectory(host: HostEnv): string {
  return host['CLAUDE_CONFIG_DIR'] ?? join(host['HOME'] ?? homedir(), '.claude');
}

/** These name the owner or hold a login; the canary has others. */
const personal = new Set(['.claude.json', '.credentials.json', 'backups']);

/** Makes the directory, with links to the host's settings, hooks, skills and everything else. */
export function makeCanaryHome(
  directory: string,
  host: HostEnv,
  person: CanaryPerson,
  login: DummyLogin,
): void {
  mkdirSync(directory, { mode: 0o700 });
  const own = configDirectory(host);
  for (const name of namesIn(own)) {
    if (!personal.has(name)) symlinkSync(join(own, name), join(directory, name));
  }
  const write = (name: string, content: object): void =>
    writeFileSync(join(directory, name), JSON.stringify(content), { mode: 0o600 });
  write('.claude.json', {
    hasCompletedOnboarding: true,
    oauthAccount: {
      accountUuid: person.accountId,
      emailAddress: person.email,
      displayName: person.displayName,
      organizationUuid: person.organisationId,
      organizationName: person.organisation,
      organizationRole: 'admin',
    },
  });
  if (login === 'stored-login') write('.credentials.json', { claudeAiOauth: dummyCredentials });
}

/** None for a directory that cannot be read. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
