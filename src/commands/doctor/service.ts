/** The service and the tunnel, as the doctor sees them. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Config } from '../../config.ts';
import { localUrl } from '../../service/probe.ts';
import { runner } from '../../service/run.ts';
import { funnelUrl } from '../../service/tailscale.ts';
import { failure, ok, warning, type Line } from './line.ts';
import { limitsOff } from '../settings-warnings.ts';
import {
  cloudflaredUnit,
  ngrokUnit,
  relayAgent,
  relayUnit,
  serviceState,
  type ServiceState,
} from '../../service/state.ts';

export function serviceLines(service: ServiceState): Line[] {
  switch (service.kind) {
    case 'no manager':
      return [ok('service', 'no systemd or launchd of this user here: ./run.sh runs the relay')];
    case 'not installed':
      return [ok('service', 'not installed: ./run.sh runs the relay, ./install.sh makes it a service')];
    case 'launchd':
      return [
        service.running
          ? ok('service', 'running')
          : failure(
              'service',
              'installed and not running',
              `launchctl kickstart -k gui/$(id -u)/${relayAgent}`,
            ),
      ];
    case 'systemd':
      return [activeLine(relayUnit, service), ...bootLines(service)];
  }
}

function activeLine(
  unit: string,
  { active, sub, result, restarts }: Extract<ServiceState, { kind: 'systemd' }>,
): Line {
  const name = unit === relayUnit ? 'service' : 'tunnel';
  const why = `journalctl --user -u ${unit} -n 50`;
  if (active === 'active') {
    return restarts > 3
      ? warning(name, `${unit} runs, after ${restarts} restarts`, why)
      : ok(name, `${unit} runs (${sub})`);
  }
  if (active === 'failed') {
    return failure(name, `${unit} has failed (${result})`, `${why}; systemctl --user restart ${unit}`);
  }
  // `auto-restart` is a service that fails and is tried again.
  if (sub === 'auto-restart')
    return failure(name, `${unit} fails and is started again and again (${result})`, why);
  return warning(name, `${unit} is installed and ${active}`, `systemctl --user start ${unit}`);
}

function bootLines({ atBoot, lingers }: Extract<ServiceState, { kind: 'systemd' }>): Line[] {
  if (!atBoot) {
    return [warning('service-boot', 'it does not start by itself', `systemctl --user enable ${relayUnit}`)];
  }
  return lingers
    ? [ok('service-boot', 'it starts with the machine')]
    : [
        warning(
          'service-boot',
          'it runs only while you are logged in on this machine',
          'loginctl enable-linger',
        ),
      ];
}

export type Tunnels = {
  ngrok: ServiceState;
  cloudflared: ServiceState;
  /** The public URL at which Tailscale Funnel leads to the relay. */
  funnel: string | undefined;
};

export async function tunnelsOf(config: Config): Promise<Tunnels> {
  const { hostEnv } = config;
  return {
    ngrok: await serviceState(ngrokUnit, hostEnv),
    cloudflared: await serviceState(cloudflaredUnit, hostEnv),
    funnel: onPath('tailscale', hostEnv) ? await funnelUrl(runner(hostEnv), localUrl(config)) : undefined,
  };
}

/** `liveKeys` is undefined where the database could not be read. */
export function tunnelLines(config: Config, tunnels: Tunnels, liveKeys: number | undefined): Line[] {
  const { ngrok, cloudflared, funnel } = tunnels;
  const ways = [
    ...ngrokLines(config, ngrok),
    ...(cloudflared.kind === 'systemd' ? [activeLine(cloudflaredUnit, cloudflared)] : []),
    ...(funnel === undefined ? [] : [ok('tunnel', `Tailscale Funnel leads from ${funnel} to the relay`)]),
  ];
  if (ways.length === 0) return [ok('tunnel', 'none')];
  const lines: Line[] = [];
  const off = limitsOff(config);
  if (off.length > 0) {
    lines.push(
      warning(
        'tunnel-limits',
        `the relay has a public name, and these limits are off: ${off.join(', ')}`,
        'give each a number above 0 in config.env',
      ),
    );
  }
  if (liveKeys === 0) {
    lines.push(
      warning(
        'tunnel-keys',
        'the relay has a public name, and no key that could use it',
        'bin/genkey my-app',
      ),
    );
  }
  if (!config.trustProxy.includes('loopback')) {
    lines.push(
      warning(
        'tunnel-callers',
        'TRUST_PROXY is not loopback: every caller looks like this machine, and wrong keys of all strangers count together',
        'set TRUST_PROXY=loopback in config.env',
      ),
    );
  }
  return [...ways, ...lines];
}

/** None where there is no sign of ngrok. */
function ngrokLines({ ngrokDomain, hostEnv }: Config, service: ServiceState): Line[] {
  if (ngrokDomain === undefined) {
    if (service.kind !== 'systemd') return [];
    const detail = `${ngrokUnit} is installed, and NGROK_DOMAIN is not set: a page fetch could fetch the relay itself`;
    return [warning('tunnel', detail, 'set NGROK_DOMAIN in config.env')];
  }
  const expose = 'bin/claude-relay expose ngrok';
  if (service.kind === 'systemd') return [activeLine(ngrokUnit, service)];
  return onPath('ngrok', hostEnv)
    ? [ok('tunnel', `NGROK_DOMAIN is set, and no ${ngrokUnit} is installed: ${expose} makes one`)]
    : [warning('tunnel', 'NGROK_DOMAIN is set, and there is no ngrok on PATH', expose)];
}

function onPath(program: string, env: Config['hostEnv']): boolean {
  return (env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return directory !== '';
    } catch {
      return false;
    }
  });
}
