/** Logins that are in files, such as the secrets of a container: `<NAME>_FILE` names the file, and its text is the value of `<NAME>`. */
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';

type Environment = Readonly<Record<string, string>>;

const secrets = [
  'CLAUDE_CODE_OAUTH_TOKEN',
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'FALLBACK_ANTHROPIC_API_KEY',
] as const;

/** The same variables, each file's text in place of its name. Adds a sentence to `problems` for a file that cannot be used. */
export function withSecretFiles(given: Environment, problems: string[]): Environment {
  const variables = { ...given };
  for (const name of secrets) {
    const variable = `${name}_FILE`;
    const file = variables[variable] ?? '';
    delete variables[variable];
    if (file === '') continue;
    const secret = secretIn(file);
    if ((variables[name] ?? '') !== '') problems.push(`${name} and ${variable} are both set; remove one`);
    else if ('problem' in secret) problems.push(`${variable} ${secret.problem}`);
    else variables[name] = secret.text;
  }
  return variables;
}

/** The problem quotes nothing that can be a secret: neither the text nor a name without a path. */
function secretIn(file: string): { text: string } | { problem: string } {
  if (!isAbsolute(file)) return { problem: 'must be the absolute path of a file' };
  let text: string;
  try {
    text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { problem: `names ${file}, which this user cannot read (${code})` };
  }
  if (text === '') return { problem: `names ${file}, which is empty` };
  // Node quotes a value that cannot be a variable in its error.
  return /[\u0000-\u001f\u007f]/.test(text)
    ? { problem: `names ${file}, which must hold one line of text` }
    : { text };
}
