/** The relay's public names in its settings and its tunnels: a page fetch refuses them. Tailscale's names all end in ts.net. */
import { readFileSync } from 'node:fs';
import type { Config } from '../config.ts';
import { cloudflaredSettings } from './tunnel-service.ts';

export function publicNames({ ngrokDomain, hostEnv }: Pick<Config, 'ngrokDomain' | 'hostEnv'>): string[] {
  const cloudflared = hostEnv['HOME'] === undefined ? [] : cloudflaredNames(hostEnv['HOME']);
  return [...(ngrokDomain === undefined ? [] : [ngrokDomain]), ...cloudflared];
}

function cloudflaredNames(home: string): string[] {
  try {
    // JSON, as `expose cloudflared` wrote it.
    const { ingress } = JSON.parse(readFileSync(cloudflaredSettings(home), 'utf8')) as {
      ingress?: { hostname?: unknown }[];
    };
    return (ingress ?? []).flatMap(({ hostname }) => (typeof hostname === 'string' ? [hostname] : []));
  } catch {
    // There is no cloudflared tunnel.
    return [];
  }
}
