/** Who has exchanged a code. In memory: a restart of the relay ends every session. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const lifeMs = 12 * 3_600_000;
const most = 20;

/**
 * A session has a public id, which is in its paths, and a secret, which is in its cookie. Cookies do not know ports: with the id in its
 * path, a browser sends the cookie to no other server of this machine, because that server would have to know the path.
 */
export class Sessions {
  readonly #now: () => number;
  readonly #sessions = new Map<string, { digest: Buffer; until: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The oldest of twenty ends for a new one. */
  begin(): { id: string; secret: string } {
    const [id, secret] = [randomBytes(16).toString('base64url'), randomBytes(32).toString('base64url')];
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= most && oldest !== undefined) this.#sessions.delete(oldest);
    this.#sessions.set(id, { digest: digestOf(secret), until: this.#now() + lifeMs });
    return { id, secret };
  }

  has(id: string, secret: string): boolean {
    const session = this.#sessions.get(id);
    return (
      session !== undefined &&
      this.#now() < session.until &&
      timingSafeEqual(session.digest, digestOf(secret))
    );
  }

  end(id: string): void {
    this.#sessions.delete(id);
  }
}

export const cookieName = 'claude_relay_owner';

export function cookieFor({ id, secret }: { id: string; secret: string }): string {
  return `${cookieName}=${secret}; Path=/s/${id}; HttpOnly; SameSite=Strict; Max-Age=${lifeMs / 1000}`;
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
