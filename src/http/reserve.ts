/** A reservation for a key that still counts when the request gets its slot. */
import type { Key } from '../keys/key.ts';
import type { LaneWork } from '../limits/lane-limits.ts';
import type { Ticket } from '../limits/ticket.ts';
import type { AppContext } from './app.ts';
import type { Exchange } from './exchange.ts';
import { unauthorized } from './identify.ts';
import { limitsOf } from './key-limits.ts';

/** Rejects as `Admission.reserve` does, and with `unauthorized`. Notes how long it took, whatever comes of it. */
export async function reserve(
  work: LaneWork,
  key: Key,
  signal: AbortSignal,
  exchange: Exchange,
  { admission, keys }: AppContext,
): Promise<Ticket> {
  const cameAt = performance.now();
  const ticket = await admission.reserve({ ...work, key: limitsOf(key, work.lane), signal }).finally(() => {
    exchange.queueMs = performance.now() - cameAt;
  });
  try {
    // It may have been revoked, or have expired, while the body arrived or the request waited.
    if (!keys.isLive(key.id)) throw unauthorized();
    return ticket;
  } catch (error) {
    ticket.release();
    throw error;
  }
}
