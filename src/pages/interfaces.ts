/** The networks this host is on, read when asked: interfaces come and go while the relay runs. */
import { networkInterfaces } from 'node:os';

import { createAddressJudge, type AddressJudge, type AddressRules } from './address.ts';

/** Gives a judge that knows the interfaces of this moment; it is built anew only when they have changed. */
export function createHostJudge(rules: Omit<AddressRules, 'interfaces'>): () => AddressJudge {
  let known: string | undefined;
  let judge = createAddressJudge(rules);
  return () => {
    const networks = Object.values(networkInterfaces())
      .flatMap((entries) => entries ?? [])
      .map(({ address, cidr }) => (cidr ?? address).replace(/%[^/]*/, ''));
    const now = networks.join(' ');
    if (now !== known) {
      judge = createAddressJudge({ ...rules, interfaces: networks });
      known = now;
    }
    return judge;
  };
}
