/** The names of the test internet. A name that is not listed leads to the ordinary web server. */
import type { Answer } from './dns-server.ts';
import { rawReplies } from './raw-replies.ts';

export const webAddress = '93.184.216.34';
export const webAddress6 = '2606:2800:220:1::1';
/** This address never replies. */
export const silentAddress = '93.184.216.99';
/** The router reports this address as unreachable. */
export const unreachableAddress = '93.184.216.98';
/** A neighbour of the host on its own network, with a global address. */
export const neighbour6 = '2a01:4f8:77::1';

export const rawAddress = (index: number): string => `45.60.${index >> 8}.${index & 255}`;

const publicAddresses = Array.from({ length: 31 }, (_, index) => `93.184.217.${index + 1}`);

const names: Readonly<Record<string, (count: number, family: 4 | 6) => Answer>> = {
  '127.0.0.1.nip.io': () => ['127.0.0.1'],
  'loopback.site.com': () => ['127.0.0.1'],
  'loopback6.site.com': () => ['::1'],
  'mapped.site.com': () => ['::ffff:a00:1'],
  'metadata.site.com': () => ['169.254.169.254'],
  'mixed.site.com': () => [webAddress, '10.0.0.1'],
  'mixed6.site.com': () => [webAddress, 'fd00::1'],
  'last-of-20.site.com': () => [...publicAddresses.slice(0, 19), '192.168.0.1'],
  'many.site.com': () => [...publicAddresses, webAddress],
  'too-many.site.com': () => [...publicAddresses, webAddress, '93.184.218.1'],
  'thousands.site.com': () =>
    Array.from({ length: 3900 }, (_, index) => `93.185.${index >> 8}.${index & 255}`),
  'thousands-bad.site.com': () => [
    ...Array.from({ length: 3000 }, (_, index) => `93.185.${index >> 8}.${index & 255}`),
    '10.0.0.1',
  ],
  'rebind.site.com': (count) => (count === 1 ? [webAddress] : ['127.0.0.1']),
  'fallback.site.com': () => [unreachableAddress, webAddress],
  'fallback-private.site.com': () => [unreachableAddress, '127.0.0.1'],
  'fallback-slow.site.com': () => [silentAddress, webAddress],
  'silent.site.com': () => [silentAddress],
  'unreachable.site.com': () => [unreachableAddress],
  'v6.site.com': () => [webAddress6],
  'neighbour.site.com': () => [neighbour6],
  'nx.site.com': () => 'nxdomain',
  'servfail.site.com': () => 'servfail',
  'empty.site.com': () => [],
  'cname.site.com': () => 'cname-only',
  'alias.site.com': () => ({ alias: [webAddress] }),
  'alias-private.site.com': () => ({ alias: ['10.0.0.1'] }),
  'alias-mixed.site.com': () => ({ alias: [webAddress, '::1'] }),
  // One kind of address fails: only the other is judged.
  'no6.site.com': (_count, family) => (family === 6 ? 'servfail' : [webAddress]),
  'quiet6.site.com': (_count, family) => (family === 6 ? 'silence' : [webAddress]),
  'no4.site.com': (_count, family) => (family === 4 ? 'servfail' : ['fd00::1']),
  'relay.site.com': () => [webAddress],
};

export function zone(name: string, count: number, family: 4 | 6): Answer {
  if (name.startsWith('slow')) return 'silence';
  const raw = /^raw-(\d+)\.site\.com$/.exec(name);
  if (raw !== null && Number(raw[1]) < Object.keys(rawReplies).length) return [rawAddress(Number(raw[1]))];
  return names[name]?.(count, family) ?? [webAddress];
}
