/** What `npm run clients` knows of a program. */

/** `text`: one answer. `tools`: two rounds of tools. `stream`: the answer as a stream. `key`: a wrong key. */
export const checks = ['text', 'tools', 'stream', 'key'] as const;
export type Check = (typeof checks)[number];

/** One run of a program. Everything in it is thrown away afterwards. */
export type Use = {
  check: Check;
  prompt: string;
  /** The relay's URL, without /v1. */
  url: string;
  /** The key; a wrong one in the check of that name. */
  key: string;
  /** Where the program is installed. */
  installed: string;
  /** The program's home directory. */
  home: string;
  /** The program's working directory: a Git repository with the files that its tool reads. */
  directory: string;
  /**
   * Runs a program of `node_modules/.bin` in `directory` with `home`, a PATH and these variables; resolves to everything it printed,
   * whatever its exit status.
   */
  run: (command: string, args: readonly string[], env?: Record<string, string>) => Promise<string>;
};

export type Program = {
  /** Names it on the command line. */
  name: string;
  /** As the table names it. */
  title: string;
  /** npm packages with exact versions. The version in the table is the first one's. */
  packages: readonly string[];
  /** Packages whose install scripts npm has to run; npm runs none by default. */
  scripts?: readonly string[];
  /** The lines that set it up, after the file that they belong to, for docs/clients.md: `URL` is the relay's, `KEY` the key. */
  setUp: readonly string[];
  /** A sentence for docs/clients.md. */
  note?: string;
  /** The tool that the model calls, by the name that reaches the model, and its input for a file to read. No tools without it. */
  tool?: {
    name: RegExp;
    input: (file: string) => object;
    /** What the tool returns, for one that reads no file; the files' words by default. */
    results?: readonly string[];
  };
  /** False for a program that never asks for a stream. */
  streams?: boolean;
  /** Requests that the relay may refuse, as in `426 GET /v1/responses`. None by default. */
  refused?: RegExp;
  /** Tries with a wrong key; one by default. */
  tries?: number;
  /** Whether it speaks Ollama's API, to the port of a key: then no key can be wrong. */
  ollama?: true;
  /** Sends the prompt and resolves to what the program printed. */
  ask: (use: Use) => Promise<string>;
};
