/** Gives every image the URL that a reader would see: from `<picture>`, `srcset`, or the attributes of late-loading scripts. */
import { all, around, attribute, create, type DomElement, first, named } from './dom.ts';
import { readableUrl } from './urls.ts';

const lateSources =
  'data-src data-original data-lazy-src data-lazy data-original-src data-actualsrc data-image-src'.split(' ');
const lateSets = 'data-srcset data-lazy-srcset data-original-set'.split(' ');
/** A shorter picture is a spacer or a blur. */
const shortestData = 400;

export function readImages(body: DomElement, base: string): void {
  for (const noscript of all(body, named('NOSCRIPT'))) readNoscript(noscript, base);
  for (const picture of all(body, named('PICTURE'))) {
    if (first(picture, named('IMG')) === undefined) picture.append(create(picture, 'img'));
  }
  for (const image of all(body, named('IMG'))) {
    const source = sourceOf(image, base);
    const alt = attribute(image, 'alt');
    const wordless = source?.startsWith('data:') === true && alt.trim() === '';
    const spacer = wordless && (image.hasAttribute('alt') || attribute(image, 'src').length < shortestData);
    const pixel = ['width', 'height'].every((side) => /^[01](px)?$/.test(attribute(image, side)));
    if (source === undefined || spacer || pixel) {
      // A picture without a URL is replaced with its alt text.
      image.replaceWith(source === undefined ? alt : '');
      continue;
    }
    for (const name of ['srcset', 'sizes', ...lateSources, ...lateSets]) image.removeAttribute(name);
    image.setAttribute('src', source);
    pictureOf(image)?.replaceWith(image);
  }
}

function sourceOf(image: DomElement, base: string): string | undefined {
  const picture = pictureOf(image);
  const sources = picture === undefined ? [] : all(picture, named('SOURCE'));
  const candidates = [
    // A script replaces `src` with these later; until then `src` is a placeholder.
    ...lateSources.map((name) => image.getAttribute(name)),
    ...lateSets.map((name) => largest(image.getAttribute(name))),
    image.getAttribute('src'),
    ...[image, ...sources].flatMap((each) =>
      ['srcset', 'data-srcset'].map((name) => largest(each.getAttribute(name))),
    ),
  ].map((text) => readableUrl(text, base));
  return (
    candidates.find((source) => source !== undefined && !source.startsWith('data:')) ??
    candidates.find(Boolean)
  );
}

/** The candidate of a `srcset` with the most pixels. A URL can contain commas, but does not end with one. */
function largest(set: string | null): string | null {
  let best: string | null = null;
  let most = -1;
  for (const [, url, size] of (set ?? '').matchAll(/([^\s,]\S*[^\s,])(?:\s+([\d.]{1,10})[wx])?\s*(?:,|$)/g)) {
    const pixels = Number(size ?? 1);
    if (url === undefined || !(pixels > most)) continue;
    most = pixels;
    best = url;
  }
  return best;
}

/** An image in `<noscript>` replaces the image that a script would load. */
function readNoscript(noscript: DomElement, base: string): void {
  const fallback = first(noscript, named('IMG'));
  if (fallback === undefined || noscript.textContent.trim() !== '') return;
  const before = noscript.previousElementSibling;
  const late =
    before?.nodeName === 'IMG' ? before : before === null ? undefined : first(before, named('IMG'));
  const source = late === undefined ? undefined : sourceOf(late, base);
  if (source !== undefined && !source.startsWith('data:')) return;
  late?.remove();
  noscript.before(pictureOf(fallback) ?? fallback);
}

function pictureOf(image: DomElement): DomElement | undefined {
  return around(image, named('PICTURE'));
}
