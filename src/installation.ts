/** Where this program is, how it was installed, and what its owner types there. */
import { readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';

/** The checkout, or the directory of the installed package. */
export const root = dirname(import.meta.dirname);

export const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string;
};

export const repository = 'https://github.com/claude-relay/claude-relay';

const ways = ['checkout', 'npm', 'deb', 'image'] as const;
export type Way = (typeof ways)[number];

/** A checkout runs its sources. Packages other than that of npm have a file with their name. */
function findWay(): Way {
  if (extname(import.meta.filename) === '.ts') return 'checkout';
  let name = '';
  try {
    name = readFileSync(join(root, 'installed-by'), 'utf8').trim();
  } catch {
    // The package of npm has no such file.
  }
  return ways.find((way) => way === name) ?? 'npm';
}

export const way: Way = findWay();

/** npx keeps packages in a cache, which npm empties: no service can run from there. */
export const isFromNpx = root.includes('/_npx/');

/** What starts the relay's commands, in messages. */
export const relayCommand =
  way === 'checkout' ? 'bin/claude-relay' : isFromNpx ? 'npx claude-relay' : 'claude-relay';

/** The same while no relay runs: nothing can be started in a container that does not run. */
export const commandBeforeStart = way === 'image' ? 'docker compose run --rm relay' : relayCommand;

/** What runs the relay where no service does, in messages. */
export const runCommand =
  way === 'checkout' ? './run.sh' : way === 'image' ? 'docker compose up --detach' : `${relayCommand} serve`;

/** What installs the service, in messages. */
export const installCommand = way === 'checkout' ? './install.sh' : `${relayCommand} install`;

const updates: Record<Way, string> = {
  checkout: 'git pull && ./install.sh',
  npm: 'npm install -g claude-relay@latest && claude-relay install',
  deb: `download the new .deb from ${repository}/releases/latest, then run sudo apt install ./claude-relay_*.deb`,
  image: 'write the tag of the new image into compose.yaml, then run docker compose up -d',
};

/** How the owner gets a newer version, in messages. */
export const updateCommand = updates[way];

/** Where the owner reads a document of the repository, in messages. */
export const documentAt = (path: string): string =>
  way === 'checkout' ? path : `${repository}/blob/v${version}/${path}`;

/** The document with every setting, in messages. */
export const settingsList =
  way === 'checkout'
    ? 'config.env.example'
    : way === 'image'
      ? documentAt('docs/configuration.md')
      : 'man claude-relay';

/** The file of a module that is loaded by its name: `.ts` in a checkout, `.js` in a package. `name` has no extension. */
export function moduleUrl(name: string, from: string): URL {
  return new URL(`${name}${extname(import.meta.filename)}`, from);
}
