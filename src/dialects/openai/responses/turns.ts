/**
 * The turns of a conversation, put together item by item. Pure, except for its own state.
 *
 * Items that follow each other are one turn of the assistant; the results of its calls and what the user says are the next one, with
 * the results first, as the Messages API requires it.
 */
import type { AssistantBlock, Message, ToolResultBlock, UserBlock } from '../../../conversation.ts';
import type { Path } from '../../problem.ts';
import { freeId } from '../messages.ts';
import { refuse } from '../problem.ts';

type Call = { id: string; path: Path; result?: ToolResultBlock };

type Turn = {
  assistant: AssistantBlock[];
  /** By the caller's ids. */
  calls: Map<string, Call>;
  user: UserBlock[];
};

export class Turns {
  readonly #messages: Message[] = [];
  readonly #usedIds = new Set<string>();
  #turn: Turn = { assistant: [], calls: new Map(), user: [] };
  #last: { role: Message['role']; path: Path } | undefined;

  assistant(blocks: readonly AssistantBlock[], path: Path): void {
    this.#beginAssistant();
    this.#turn.assistant.push(...blocks);
    this.#last = { role: 'assistant', path };
  }

  user(blocks: readonly UserBlock[], path: Path): void {
    this.#turn.user.push(...blocks);
    this.#last = { role: 'user', path };
  }

  call(callId: string, name: string, input: Record<string, unknown>, path: Path): void {
    this.#beginAssistant();
    if (this.#turn.calls.has(callId)) refuse([...path, 'call_id'], 'is the id of another call in this turn');
    const id = freeId(callId, this.#usedIds);
    this.#turn.calls.set(callId, { id, path });
    this.assistant([{ type: 'tool_use', id, name, input }], path);
  }

  result(callId: string, content: ToolResultBlock['content'], path: Path): void {
    const call = this.#turn.calls.get(callId);
    if (call === undefined) refuse([...path, 'call_id'], 'is not the id of a call in the turn before it');
    if (call.result !== undefined)
      refuse([...path, 'call_id'], 'is the id of a call that has its output already');
    call.result = {
      type: 'tool_result',
      tool_use_id: call.id,
      ...(content === undefined ? {} : { content }),
    };
    this.#last = { role: 'user', path };
  }

  /** Throws unless the conversation ends with the user. */
  messages(): Message[] {
    this.#close();
    if (this.#last === undefined) refuse(['input'], 'must contain a message with the role user');
    if (this.#last.role !== 'user') {
      refuse(this.#last.path, 'must be from the user: the relay cannot continue a text of the assistant');
    }
    return this.#messages;
  }

  /** Calls without a result keep their turn open. */
  #beginAssistant(): void {
    const { calls, user } = this.#turn;
    const answered = calls.size > 0 && [...calls.values()].every(({ result }) => result !== undefined);
    if (answered || user.length > 0) this.#close();
  }

  #close(): void {
    const { assistant, calls, user } = this.#turn;
    const results = [...calls.values()].map(
      ({ result, path }) =>
        result ??
        refuse(
          [...path, 'call_id'],
          'is the id of a call without an output: send a function_call_output or custom_tool_call_output for it',
        ),
    );
    if (assistant.length > 0) this.#messages.push({ role: 'assistant', content: assistant });
    if (results.length + user.length > 0) {
      this.#messages.push({ role: 'user', content: [...results, ...user] });
    }
    this.#turn = { assistant: [], calls: new Map(), user: [] };
  }
}
