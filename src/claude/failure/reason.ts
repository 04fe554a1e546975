/** Why the upstream refused a request, as far as the caller may read it. Pure. */

const maxCharacters = 300;

/** A sentence with one of these words is about the owner of the host, and can name them. */
const aboutTheOwner =
  /\b(?:organi[sz]ations?|workspaces?|accounts?|billing|credits?|subscriptions?|admin(?:istrator)?s?|api keys?|log ?ins?|logged in|x-api-key)\b/i;

const ownersData: readonly RegExp[] = [
  // URLs, e-mail addresses, IP addresses.
  /\b[a-z][a-z0-9+.-]*:\/\/\S+/gi,
  /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g,
  /\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g,
  // Ids of an account, an organization or a request, and credentials.
  /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi,
  /\b(?:sk|req|org|user|acct|wrkspc)[-_][\w-]{6,}/g,
  // Paths, but not `image/png` or `#/definitions/a`.
  /(?<![\w.#~])~?\/(?:[^\s/:"'`]+\/)+[^\s:"'`]*/g,
  /\b[a-z]:\\[^\s"'`]+/gi,
];

/** Undefined for a text that holds no reason, or a reason about the owner. */
export function callerReason(text: string): string | undefined {
  const line = text
    .slice(0, 10 * maxCharacters)
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  // A page, or the CLI's text for an answer without a body.
  if (line === '' || /<[a-z!/]|\(no body\)/i.test(line) || aboutTheOwner.test(line)) return undefined;
  let reason = line;
  for (const pattern of ownersData) reason = reason.replace(pattern, '[removed]');
  return reason.slice(0, maxCharacters);
}
