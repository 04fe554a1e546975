/** Opens the owner's listener, on loopback. */
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { native } from '../dialects/native.ts';
import type { Connections } from '../http/connections.ts';
import { listen } from '../http/server.ts';
import type { Times } from '../http/times.ts';
import type { Clock } from '../limits/clock.ts';
import { createOwnerApp } from './app.ts';
import { openOwnerData, type OwnerDataParts } from './data.ts';
import { openMetricsRoute, type MetricsParts } from './metrics.ts';

export type OwnerListenerParts = Omit<OwnerDataParts & MetricsParts, 'now'> & {
  config: Pick<Config, 'adminPort' | 'limits'>;
  clock: Pick<Clock, 'wall' | 'monotonic'>;
  connections: Connections;
  log: Pick<Logger, 'info' | 'warn'>;
  times: Times;
};

/** No other address: the page is for the person at this machine. */
const host = '127.0.0.1';
/** The doctor's checks. */
const longestAnswerMs = 120_000;

/** Undefined: ADMIN_PORT is 0, or cannot be used, which the log says. Requests are served without it. */
export async function openOwnerListener(parts: OwnerListenerParts) {
  const { config, connections, log, times } = parts;
  const { adminPort: port } = config;
  if (port === 0) return undefined;
  const now = (): number => parts.clock.wall();
  try {
    const metrics = openMetricsRoute({ ...parts, now });
    const data = openOwnerData({ ...parts, now });
    const app = createOwnerApp({ ...parts, data, metrics, now, port });
    const listener = await listen(app, {
      host,
      port,
      longestAnswerMs,
      connections,
      times,
      errorFormat: native,
    });
    log.info({ url: listener.url }, "listening for the owner's page");
    return {
      close: async (): Promise<void> => {
        await Promise.all([listener.close(), data.close()]);
      },
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    log.warn({ port, code }, "cannot listen for the owner's page: set another ADMIN_PORT, or 0");
    return undefined;
  }
}
