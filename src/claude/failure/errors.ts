/** The cause of a failed request to the model -> the error that its caller gets. Pure. */
import { RelayError, type ErrorCode, type ErrorDetails } from '../../errors.ts';

type CauseError = {
  code: ErrorCode;
  message: string;
  /** The upstream's reason follows the message, if there is one. */
  givesReason?: true;
  details?: ErrorDetails;
};

/** The same request fails again; without this, a client would retry these codes. */
const permanent = { shouldRetry: false } as const;

const loginLost = { ...permanent, loginLost: true } as const;

/** Only the owner of the host can do something about it. */
const hostProblem = (message: string): CauseError => ({
  code: 'upstream_error',
  message,
  details: permanent,
});
const passing = (message: string): CauseError => ({ code: 'upstream_error', message });

const errors = {
  /** The login is missing, has expired or was refused. */
  login: {
    code: 'upstream_auth',
    message: 'Claude Code is not logged in, or its login was refused: log in again on the host.',
    details: loginLost,
  },
  /** The login is valid, but its account or organization is closed. */
  disabled: {
    code: 'upstream_auth',
    message:
      'The account that Claude Code is logged in with is disabled, on hold or not allowed to use it: check the account on the host, or log in with another.',
    details: loginLost,
  },
  account: {
    code: 'upstream_auth',
    message:
      'The account that Claude Code is logged in with cannot be used for this: check its billing and permissions on the host.',
    details: permanent,
  },
  outdated: hostProblem('Claude Code is too old for this model or its organization: update it on the host.'),
  host: hostProblem(
    'Claude Code cannot send requests with its setup on the host. The owner of the host can run `claude-relay doctor` for the reason.',
  ),
  /** Something else answered in place of the API. */
  network: hostProblem(
    'A proxy, a web filter or a login page in the network of the host answered in place of the model. The owner of the host has to let the requests through.',
  ),
  region: hostProblem(
    'The model refuses requests from the network of the host: usually an unsupported region, a VPN or a proxy. The owner of the host has to use another network.',
  ),
  tls: hostProblem(
    'The host does not trust the certificate of the connection to the model. The owner of the host has to fix this (NODE_EXTRA_CA_CERTS).',
  ),
  unreachable: passing('The host could not reach the model. Try again.'),
  cut: passing('The connection to the model was lost. Try again.'),
  failed: passing('The request to the model failed. Try again.'),
  overloaded: {
    code: 'upstream_overloaded',
    message: 'The model is overloaded. Try again in a moment.',
    details: { retryAfter: 10 },
  },
  /** A limit that the owner set for the account, up to a date. */
  spending_limit: {
    code: 'rate_limited',
    message: 'The account of the host has reached the usage limit that its owner set.',
    details: { ...permanent, limit: 'plan' },
  },
  model: {
    code: 'not_found',
    message: 'The model does not exist, or the login of the host cannot use it.',
    details: { reason: 'unknown_model' },
  },
  too_long: {
    code: 'bad_request',
    message: 'The model refused the request',
    givesReason: true,
    details: { reason: 'prompt_too_long' },
  },
  request: { code: 'bad_request', message: 'The model refused the request', givesReason: true },
  too_large: {
    code: 'payload_too_large',
    message: 'The request is too large for the model',
    givesReason: true,
  },
} as const satisfies Record<string, CauseError>;

/** `outcome.ts` makes the error of a `rate_limited`: it knows the times of the plan. */
export type Cause = keyof typeof errors | 'rate_limited';

/** `nowMs`: the wall clock, for a limit that ends on a date. */
export function errorOf(
  cause: Exclude<Cause, 'rate_limited'>,
  reason: string | undefined,
  text: string,
  nowMs: number,
): RelayError {
  const { code, message, givesReason, details = {} }: CauseError = errors[cause];
  if (cause === 'spending_limit') return spendingLimit(message, details, text, nowMs);
  if (!givesReason) return new RelayError(code, message, details);
  const end = reason === undefined ? '.' : `: ${reason}`;
  return new RelayError(code, message + end, details);
}

function spendingLimit(message: string, details: ErrorDetails, text: string, nowMs: number): RelayError {
  const [, day, time = '00:00'] =
    /regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d) UTC)?/.exec(text) ?? [];
  const until = Date.parse(`${day}T${time}:00Z`);
  if (!(until > nowMs)) return new RelayError('rate_limited', message, { ...details, retryAfter: 3600 });
  return new RelayError('rate_limited', `${message.slice(0, -1)}, until ${new Date(until).toISOString()}.`, {
    ...details,
    retryAfter: Math.ceil((until - nowMs) / 1000),
  });
}
