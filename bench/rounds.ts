/** Runs ways in turns, so that other load on the machine affects all of them alike. */

export type Effort = { rounds: number; maxMs: number };

/** Every round runs each way once, each time beginning with another one; at least `least` rounds, whatever they take. */
export async function inTurns<Name extends string, T>(
  names: readonly Name[],
  run: (name: Name) => Promise<T>,
  { rounds, maxMs }: Effort,
  least = 3,
): Promise<Record<Name, T[]>> {
  const until = performance.now() + maxMs;
  const seen = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, T[]>;
  for (let round = 0; round < rounds && (round < least || performance.now() < until); round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length] as Name;
      seen[name].push(await run(name));
    }
  }
  return seen;
}
