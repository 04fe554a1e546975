/** One turn of a real CLI without the lock: the control, which shows that a trap works. */
import { startProcess } from '../../src/claude/process.ts';
import { initializeLine } from '../../src/claude/protocol.ts';
import { type Reply, type SeenRequest, startFailingModel } from './failing-model.ts';

export type OpenTurn = {
  claudeBin: string;
  home: string;
  /** Further flags. */
  args: readonly string[];
  /** Further variables, such as another login; undefined removes a variable. */
  env?: Readonly<Record<string, string | undefined>>;
  prompt: string;
  /** What the model answers, in turn; then `done`. */
  replies?: readonly Reply[];
  prepareCwd?: (cwd: string) => void;
};

/** Resolves to the requests that reached the model, when the process is gone. */
export async function openTurn(options: OpenTurn): Promise<readonly SeenRequest[]> {
  const standIn = await startFailingModel({
    reply: (_request, index) => options.replies?.[index] ?? { kind: 'text', text: 'done' },
  });
  const child = startProcess({
    command: options.claudeBin,
    args: [
      ...'-p --input-format stream-json --output-format stream-json --verbose'.split(' '),
      ...options.args,
    ],
    env: (tmpDir) => {
      const env = {
        HOME: options.home,
        PATH: process.env['PATH'],
        TMPDIR: tmpDir,
        ANTHROPIC_API_KEY: 'sk-ant-stub',
        ANTHROPIC_BASE_URL: standIn.url,
        DISABLE_AUTOUPDATER: '1',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        ...options.env,
      };
      return Object.fromEntries(
        Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
      );
    },
    ...(options.prepareCwd === undefined ? {} : { prepareCwd: options.prepareCwd }),
    listener: {
      onLine: (text) => {
        if ((JSON.parse(text) as { type: string }).type === 'result') child.terminate();
      },
      onGarbage: () => {},
      onExit: () => {},
    },
  });
  const deadline = setTimeout(() => child.terminate(), 120_000);
  child.write(initializeLine('1', ['Be brief.']));
  child.write(`${JSON.stringify({ type: 'user', message: { role: 'user', content: options.prompt } })}\n`);
  await child.gone;
  clearTimeout(deadline);
  await standIn.close();
  return [...standIn.requests];
}
