/** URLs as they are returned: absolute, and without data inside. */

/** Undefined for scripts, blobs and invalid URLs. */
export function readableUrl(href: string | null, base: string): string | undefined {
  const text = href?.trim() ?? '';
  if (text === '') return undefined;
  if (/^data:/i.test(text)) return withoutData(text);
  const url = URL.parse(text, base);
  return url === null || /^(javascript|vbscript|blob|about):$/.test(url.protocol) ? undefined : url.href;
}

/** `data:image/png,`: the type without the data. */
function withoutData(url: string): string {
  const type = /^data:([\w.+-]{1,40}\/[\w.+-]{1,60})/i.exec(url)?.[1] ?? '';
  return `data:${type.toLowerCase()},`;
}
