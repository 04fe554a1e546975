/** The doctor's lines about the service and the tunnel. */
import type { Config } from '../../config.ts';
import { installCommand, relayCommand, runCommand, way } from '../../installation.ts';
import { localUrl } from '../../service/ready.ts';
import type { RunProgram } from '../../service/run-program.ts';
import {
  startCommand,
  systemdState,
  units,
  type ServiceState,
  type SystemdState,
  type Unit,
} from '../../service/state.ts';
import { funnelUrl } from '../../service/tailscale.ts';
import { lingers } from '../../service/user-manager.ts';
import { exposureWarnings } from '../settings-warnings.ts';
import { failure, ok, warning, type Line } from './line.ts';

const untested = 'this check is not tested on a Mac';

export async function serviceLines(service: ServiceState, run: RunProgram): Promise<Line[]> {
  switch (service.kind) {
    case 'not installed':
      if (way === 'image') return [ok('service', 'the container, which its engine starts and restarts')];
      return [
        ok(
          'service',
          `not installed: run the relay with ${runCommand}, or install it with ${installCommand}`,
        ),
      ];
    case 'launchd': {
      const fix = startCommand(service, { again: true });
      const stopped = failure('service', `installed but not running; ${untested}`, fix);
      return [service.running ? ok('service', `running; ${untested}`) : stopped];
    }
    case 'systemd':
      return [activeLine(units.relay, service), await bootLine(service, run)];
  }
}

function activeLine(unit: Unit, { active, sub, result, restarts }: SystemdState): Line {
  const name = unit === units.relay ? 'service' : 'tunnel';
  const why = `journalctl --user -u ${unit} -n 50`;
  if (active === 'active') {
    return restarts > 3
      ? warning(name, `${unit} is running, after ${restarts} restarts`, why)
      : ok(name, `${unit} is active (${sub})`);
  }
  if (active === 'failed') {
    return failure(name, `${unit} has failed (${result})`, `${why}; systemctl --user restart ${unit}`);
  }
  // `auto-restart`: systemd waits before it starts a failed service again.
  if (sub === 'auto-restart') return failure(name, `${unit} keeps failing and restarting (${result})`, why);
  return warning(name, `${unit} is installed but ${active}`, `systemctl --user start ${unit}`);
}

async function bootLine({ atBoot }: SystemdState, run: RunProgram): Promise<Line> {
  const name = 'service-boot';
  if (!atBoot)
    return warning(name, 'it does not start with the machine', `systemctl --user enable ${units.relay}`);
  return (await lingers(run))
    ? ok(name, 'it starts with the machine')
    : warning(name, 'it runs only while you are logged in on this machine', 'loginctl enable-linger');
}

export async function tunnelLines(config: Config, run: RunProgram): Promise<Line[]> {
  const cloudflared = await systemdState(run, units.cloudflared);
  const funnel = await funnelUrl(run, localUrl(config));
  const ways = [
    ...ngrokLines(config, await systemdState(run, units.ngrok)),
    ...(cloudflared.kind === 'systemd' ? [activeLine(units.cloudflared, cloudflared)] : []),
    ...(funnel === undefined ? [] : [ok('tunnel', `Tailscale Funnel forwards ${funnel} to the relay`)]),
  ];
  return ways.length === 0 ? [ok('tunnel', 'none')] : [...ways, ...exposureWarnings(config)];
}

/** Empty when neither a setting nor a service mentions ngrok. */
function ngrokLines({ ngrokDomain }: Config, service: ServiceState): Line[] {
  if (ngrokDomain === undefined) {
    if (service.kind !== 'systemd') return [];
    const detail = `${units.ngrok} is installed, but NGROK_DOMAIN is not set: a page fetch could reach the relay itself`;
    return [warning('tunnel', detail, 'set NGROK_DOMAIN in config.env')];
  }
  if (service.kind === 'systemd') return [activeLine(units.ngrok, service)];
  const detail = `NGROK_DOMAIN is set, but ${units.ngrok} is not installed: to install it, run ${relayCommand} expose ngrok`;
  return [ok('tunnel', detail)];
}
