/**
 * The daily budgets in dollars and tokens, of one key and of all.
 *
 * What a turn uses is known at its end, so each turn in flight holds the most that it can use. One more starts while what is spent and
 * held leaves something of its budget. So only the last turn exceeds a budget, and by no more than it uses itself.
 */
import type { DailyCounts } from '../store/daily.ts';
import { countsUnavailable, type Blocked } from './refusals.ts';
import type { DayClock } from './windows.ts';

/** Dollars as Claude Code reckons them, and tokens: input, output and cache writes. As a budget, 0 is no limit. */
export type Spend = { usd: number; tokens: number };

export const nothing: Spend = { usd: 0, tokens: 0 };

/** `used` can exceed `limit`, by the last turn. */
export type BudgetState = { limit: number; used: number; resetMs: number };
/** Undefined: no such budget. */
export type BudgetStates = { [Unit in keyof Spend]: BudgetState | undefined };

/** Four fifths of a budget are used: of a key's, of the second login's (`fallback`), or of the one of all keys. */
export type NearlySpent = { keyId?: string; fallback?: true; unit: keyof Spend; limit: number; used: number };

type SpendingOptions = {
  counts: Pick<DailyCounts, 'read' | 'add'>;
  days: DayClock;
  /** The budget of all keys together. */
  all: Spend;
  /** Dollars for the turns with the second login, which are billed. */
  fallbackUsd: number;
  onNearlySpent: (budget: NearlySpent) => void;
};

const units = ['usd', 'tokens'] as const;
/** The database counts whole numbers. */
const microDollars = 1_000_000;
/** No ids of keys. */
const everybody = '*';
const secondLogin = '$';

/** Whose budget a turn uses, and the limit that a refusal names. */
type Account = { owner: string; budget: Spend; limit: 'key_budget' | 'global_budget' | 'plan' };

/** The methods throw `not_ready` when the counts cannot be read. */
export class Spending {
  readonly #options: SpendingOptions;
  /** By owner, a key's id or `everybody`: what the turns in flight can still use. */
  readonly #held = new Map<string, Spend>();
  /** What the database has refused so far. */
  readonly #unsaved = new Set<{ day: string; accounts: readonly Account[]; used: Spend }>();

  constructor(options: SpendingOptions) {
    this.#options = options;
  }

  /**
   * Why no turn can start: a budget is used up, or `held`: the turns in flight may use what is left. `billed`: a turn with the second
   * login; without a budget for it, none starts.
   */
  blocked(keyId: string, budget: Spend, billed = false): Blocked | undefined {
    const { days } = this.#options;
    this.#save();
    const accounts = this.#accounts(keyId, budget, billed);
    const full = (day: string, held: boolean): Account['limit'] | undefined =>
      accounts.find(({ owner, budget }) => this.#isFull(day, owner, budget, held))?.limit;
    const limit = full(days.today(), false);
    if (limit !== undefined) return { limit, waitMs: days.roomInMs((day) => full(day, false) !== undefined) };
    const held = full(days.today(), true);
    return held && { limit: held, waitMs: 0, held: true };
  }

  /** A turn begins that can use `most`. The function that it returns ends it, once, with what it used. */
  begin(keyId: string, budget: Spend, most: () => Spend, billed = false): (used: Spend) => void {
    const day = this.#options.days.today();
    const accounts = this.#accounts(keyId, budget, billed);
    const held = accounts.some(({ budget }) => hasLimit(budget)) ? most() : nothing;
    this.#hold(accounts, held, 1);
    return (used) => {
      this.#hold(accounts, held, -1);
      if (used.usd + used.tokens === 0) return;
      this.#unsaved.add({ day, accounts, used });
      try {
        this.#save();
      } catch {
        // The next request tries again, and reports that the counts cannot be kept.
      }
    };
  }

  #save(): void {
    for (const spent of this.#unsaved) {
      const { day, accounts, used } = spent;
      try {
        this.#options.counts.add(day, amountsOf(accounts, used));
      } catch (error) {
        throw countsUnavailable(error);
      }
      this.#unsaved.delete(spent);
      this.#report(day, accounts, used);
    }
  }

  #accounts(keyId: string, budget: Spend, billed: boolean): Account[] {
    const { all, fallbackUsd } = this.#options;
    return [
      { owner: keyId, budget, limit: 'key_budget' },
      { owner: everybody, budget: all, limit: 'global_budget' },
      ...(billed
        ? [{ owner: secondLogin, budget: { usd: fallbackUsd, tokens: 0 }, limit: 'plan' as const }]
        : []),
    ];
  }

  states(keyId: string, budget: Spend): { key: BudgetStates; all: BudgetStates } {
    return { key: this.#statesOf(keyId, budget), all: this.#statesOf(everybody, this.#options.all) };
  }

  #statesOf(owner: string, budget: Spend): BudgetStates {
    if (!hasLimit(budget)) return { usd: undefined, tokens: undefined };
    const { days } = this.#options;
    const used = this.#read(days.today(), owner);
    const resetMs = days.changeInMs();
    const state = (unit: keyof Spend) =>
      budget[unit] > 0 ? { limit: budget[unit], used: used[unit], resetMs } : undefined;
    return { usd: state('usd'), tokens: state('tokens') };
  }

  #isFull(day: string, owner: string, budget: Spend, withHeld: boolean): boolean {
    if (!hasLimit(budget)) return owner === secondLogin;
    const used = this.#read(day, owner);
    const held = withHeld ? (this.#held.get(owner) ?? nothing) : nothing;
    return units.some((unit) => budget[unit] > 0 && used[unit] + held[unit] >= budget[unit]);
  }

  #hold(accounts: readonly Account[], { usd, tokens }: Spend, sign: 1 | -1): void {
    for (const { owner } of accounts) {
      const held = this.#held.get(owner) ?? nothing;
      const now = { usd: held.usd + sign * usd, tokens: held.tokens + sign * tokens };
      // Tokens are whole: what is left of the dollars without any is an error of their sum.
      if (now.tokens <= 0) this.#held.delete(owner);
      else this.#held.set(owner, now);
    }
  }

  #report(day: string, accounts: readonly Account[], spent: Spend): void {
    for (const { owner, budget, limit: name } of accounts) {
      for (const unit of units.filter((each) => budget[each] > 0)) {
        const [limit, used] = [budget[unit], this.#read(day, owner)[unit]];
        if (used < limit * 0.8 || used - spent[unit] >= limit * 0.8) continue;
        const whose = {
          ...(name === 'key_budget' && { keyId: owner }),
          ...(name === 'plan' && { fallback: true as const }),
        };
        this.#options.onNearlySpent({ ...whose, unit, limit, used });
      }
    }
  }

  #read(day: string, owner: string): Spend {
    try {
      return spentOn(this.#options.counts, day, owner);
    } catch (error) {
      throw countsUnavailable(error);
    }
  }
}

/** What a key spent on a UTC day. Throws as the counts do. */
export function spentOn(counts: Pick<DailyCounts, 'read'>, day: string, keyId: string): Spend {
  const [usd, tokens] = counts.read(day, [scopeOf('usd', keyId), scopeOf('tokens', keyId)]);
  return { usd: usd / microDollars, tokens };
}

function hasLimit({ usd, tokens }: Spend): boolean {
  return usd > 0 || tokens > 0;
}

/** What the second login was billed for on a UTC day, in dollars. Throws as the counts do. */
export function billedOn(counts: Pick<DailyCounts, 'read'>, day: string): number {
  return spentOn(counts, day, secondLogin).usd;
}

function scopeOf(unit: keyof Spend, owner: string): string {
  if (owner === everybody) return `${unit}:all`;
  return owner === secondLogin ? `${unit}:fallback` : `${unit}:key:${owner}`;
}

/** Rounded up: many small amounts do not vanish. */
function amountsOf(accounts: readonly Account[], { usd, tokens }: Spend) {
  return accounts.flatMap(({ owner }) => [
    { scope: scopeOf('usd', owner), count: Math.ceil(usd * microDollars) },
    { scope: scopeOf('tokens', owner), count: Math.ceil(tokens) },
  ]);
}
