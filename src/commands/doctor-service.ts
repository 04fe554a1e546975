/** The service and the tunnel, as the doctor sees them. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Config } from '../config.ts';
import { failure, ok, warning, type Line } from './doctor-line.ts';
import { limitsOff } from './limits-off.ts';
import { relayAgent, relayUnit, tunnelUnit, type ServiceState } from './service-state.ts';

/** How a relay that does not run is started on this machine. */
export function startCommand(service: ServiceState): string {
  switch (service.kind) {
    case 'systemd':
      return `systemctl --user start ${relayUnit}`;
    case 'launchd':
      return `launchctl kickstart gui/$(id -u)/${relayAgent}`;
    case 'no manager':
    case 'not installed':
      return './run.sh';
  }
}

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

/** `liveKeys` is undefined where the database could not be read. */
export function tunnelLines(config: Config, tunnel: ServiceState, liveKeys: number | undefined): Line[] {
  const { ngrokDomain, hostEnv } = config;
  const expose = 'bin/claude-relay expose ngrok';
  if (ngrokDomain === undefined) {
    return tunnel.kind === 'systemd' && tunnel.active === 'active'
      ? [
          warning(
            'tunnel',
            `${tunnelUnit} runs, and NGROK_DOMAIN is not set: a page fetch could fetch the relay itself`,
            'set NGROK_DOMAIN in config.env',
          ),
        ]
      : [ok('tunnel', 'none: NGROK_DOMAIN is not set')];
  }
  const lines: Line[] = [];
  if (tunnel.kind === 'systemd') lines.push({ ...activeLine(tunnelUnit, tunnel) });
  else if (onPath('ngrok', hostEnv))
    lines.push(ok('tunnel', `NGROK_DOMAIN is set, and no ${tunnelUnit} is installed: ${expose} says how`));
  else lines.push(warning('tunnel', 'NGROK_DOMAIN is set, and there is no ngrok on PATH', expose));
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
  return lines;
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
