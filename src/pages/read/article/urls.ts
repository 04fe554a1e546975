/** Addresses as they are returned: absolute, and never with data inside. */

/** Undefined for what leads nowhere: scripts, blobs, and what is not a URL. */
export function readableUrl(href: string | null, base: string): string | undefined {
  const text = href?.trim() ?? '';
  if (text === '') return undefined;
  if (/^data:/i.test(text)) return withoutData(text);
  const url = URL.parse(text, base);
  return url === null || /^(javascript|vbscript|blob|about):$/.test(url.protocol) ? undefined : url.href;
}

/** `data:image/png,`: what it is, and nothing of it. */
function withoutData(url: string): string {
  const type = /^data:([\w.+-]{1,40}\/[\w.+-]{1,60})/i.exec(url)?.[1] ?? '';
  return `data:${type.toLowerCase()},`;
}
