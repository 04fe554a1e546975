/** Certificates of an authority for one test run, made by openssl. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Certificate = { readonly key: string; readonly cert: string };

export type Certificates = {
  /** The file of the authority's certificate. */
  readonly authority: string;
  readonly good: Certificate;
  readonly expired: Certificate;
  readonly wrongName: Certificate;
  readonly selfSigned: Certificate;
};

/** `names`: the subjectAltName of the good and the expired certificate (`DNS:…,IP:…`). */
export function makeCertificates(folder: string, names: string): Certificates {
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'pipe' });
  };
  const key = (name: string): string[] => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    path(`${name}.key`),
  ];
  const read = (name: string): Certificate => ({
    key: readFileSync(path(`${name}.key`), 'utf8'),
    cert: readFileSync(path(`${name}.pem`), 'utf8'),
  });

  openssl(
    'req',
    '-x509',
    ...key('authority'),
    '-days',
    '2',
    '-subj',
    '/CN=Test authority',
    '-out',
    path('authority.pem'),
  );
  const issue = (name: string, altNames: string, ...validity: string[]): Certificate => {
    writeFileSync(path(`${name}.ext`), `subjectAltName=${altNames}\n`);
    openssl('req', ...key(name), '-subj', '/CN=page', '-out', path(`${name}.csr`));
    const from = ['-in', path(`${name}.csr`), '-CA', path('authority.pem'), '-CAkey', path('authority.key')];
    const to = ['-extfile', path(`${name}.ext`), '-out', path(`${name}.pem`)];
    openssl('x509', '-req', ...from, ...to, ...validity);
    return read(name);
  };
  openssl(
    'req',
    '-x509',
    ...key('self'),
    '-days',
    '2',
    '-subj',
    '/CN=page',
    '-addext',
    `subjectAltName=${names}`,
    '-out',
    path('self.pem'),
  );
  return {
    authority: path('authority.pem'),
    good: issue('good', names, '-days', '2'),
    expired: expired(issue('expired', names, '-days', '0')),
    wrongName: issue('wrong', 'DNS:elsewhere.org', '-days', '2'),
    selfSigned: read('self'),
  };
}

/** openssl makes no certificate that ends before it begins, so wait until this one has expired. */
function expired(certificate: Certificate): Certificate {
  const lastMs = Date.parse(new X509Certificate(certificate.cert).validTo);
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  while (Date.now() < lastMs + 1000) Atomics.wait(nobody, 0, 0, lastMs + 1000 - Date.now());
  return certificate;
}
