/** Debian sorts `1.0.0~rc.1` before `1.0.0`, as SemVer does with `1.0.0-rc.1`. */
export function debianVersion(version: string): string {
  return version.replace('-', '~');
}
