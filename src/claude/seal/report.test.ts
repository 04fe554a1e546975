import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowNamespaces, noAnswer, noBwrap, noNetwork, sealOff } from './missing.ts';
import { sealReport, sealSentence } from './report.ts';
import { unsealed, type Seal } from './seal.ts';

const full: Seal = { ...unsealed, network: 'namespace', files: 'bwrap' };
const noProgram = noBwrap(false, [], {});

test('the start line of a full seal names its two ways', () => {
  assert.equal(
    sealSentence(sealReport('auto', full)),
    'The processes of Claude Code are sealed: network by namespace, files by bwrap.',
  );
});

test('the start line of a partial seal, and of none, is a warning with the command that fixes it', () => {
  assert.equal(
    sealSentence(sealReport('auto', { ...full, files: undefined, missing: [noProgram] })),
    'Warning: the processes of Claude Code are sealed: network by namespace, files by none: the program `bwrap` is missing for the files; to fix it: apt install bubblewrap.',
  );
  assert.match(
    sealSentence(sealReport('off', { ...unsealed, missing: [sealOff] })),
    /^Warning: .* are not sealed: SEAL is off, .*; to fix it: set SEAL=auto in config\.env\.$/,
  );
});

test('a seal of files by Landlock is no warning, but says what seals more', () => {
  const sentence = sealSentence(sealReport('auto', { ...full, files: 'landlock', missing: [noProgram] }));
  assert.match(sentence, /^The processes .* files by landlock: .*apt install bubblewrap\.$/);
});

test('the report for /ready leaves out the reason, which can name paths of the host', () => {
  const missing = [noNetwork('unshare: unshare failed: Operation not permitted', {}, false)];
  const report = sealReport('auto', { ...unsealed, missing });
  assert.deepEqual(
    report.missing.map((each) => Object.keys(each)),
    [['problem', 'fix']],
  );
});

test('a missing program is named with its package', () => {
  for (const reason of ['spawn unshare ENOENT', '/bin/sh: 1: ip: not found'])
    assert.equal(noNetwork(reason, {}, false).fix, 'apt install bubblewrap util-linux');
});

const settings: [name: string, value: string][] = [
  ['kernel.unprivileged_userns_clone', '0'],
  ['user.max_user_namespaces', '0'],
  ['kernel.apparmor_restrict_unprivileged_userns', '1'],
];
for (const [name, value] of settings) {
  test(`where ${name} is ${value}, the command changes it`, () => {
    const fix = allowNamespaces((asked) => (asked === name ? value : undefined), {});
    assert.match(fix, new RegExp(`^sudo sysctl ${name}=(?!${value}$)\\d+$`));
  });
}

test('in a service that forbids namespaces, the command installs the unit again', () => {
  assert.match(
    allowNamespaces(() => undefined, { INVOCATION_ID: '1' }),
    /^\.\/install\.sh/,
  );
});

test('in a container, the fix is its options, unless the host forbids namespaces', () => {
  const fix = (sysctl?: string): string => allowNamespaces(() => sysctl, {}, 'image');
  assert.match(fix(), /--security-opt seccomp=unconfined/);
  assert.match(fix('0'), /^sudo sysctl /);
});

test('a program that was given up on a busy machine is not taken for a host that forbids it', () => {
  const reason = `unshare: ${noAnswer(30_000)}`;
  const missing = [noNetwork(reason, {}, false), noBwrap(true, [{ ofCli: true, reason }], {})];
  for (const each of missing) {
    assert.equal(each.fix, 'restart the relay when the machine is less busy');
    assert.equal(each.reason, 'unshare: no answer within 30 s');
  }
});

test('where a filter can seal the network, the setting for it is named, with its price', () => {
  assert.match(
    noNetwork('Operation not permitted', {}, true).fix,
    /; or SEAL=required with a token .* 18 s longer\)$/,
  );
});

test('a CLI that starts in no seal of files is not taken for a host that has none', () => {
  const failures = [{ ofCli: true, reason: 'bwrap: claude: not found' }];
  assert.match(noBwrap(true, failures, {}).fix, /^set CLAUDE_BIN to the program itself/);
  assert.doesNotMatch(noBwrap(true, [{ ofCli: false, reason: 'bwrap: EPERM' }], {}).fix, /CLAUDE_BIN/);
});
