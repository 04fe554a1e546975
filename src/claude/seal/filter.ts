/**
 * A filter of system calls for a sealed process: which sockets it can make, and no way to trace, mount, or leave its namespaces.
 * Pure: it returns the program in the form that the kernel, `setpriv` and `bwrap` read. What the filter does not name is allowed.
 */
import type { arch as nodeArch } from 'node:os';

export type FilterArch = Extract<ReturnType<typeof nodeArch>, 'x64' | 'arm64'>;

/** `unix`: unix sockets only. `tcp4`: TCP over IPv4, too, for a process whose network namespace holds the relay's port and no more. */
export type FilterSockets = 'unix' | 'tcp4';

/** A number on x64, and on arm64; null: there is no such call. */
type CallNumbers = readonly [x64: number, arm64: number | null];

const named = {
  socket: [41, 198],
  socketpair: [53, 199],
  clone: [56, 220],
  clone3: [435, 435],
  ioctl: [16, 29],
} as const satisfies Record<string, CallNumbers>;

/** What a process of the CLI never needs (2.1.197, 2.1.332). */
const refused: Readonly<Record<string, CallNumbers>> = {
  // It would make sockets without `socket`.
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  // Other processes.
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  process_madvise: [440, 440],
  kcmp: [312, 272],
  pidfd_getfd: [438, 438],
  shmget: [29, 194],
  shmat: [30, 196],
  msgget: [68, 186],
  semget: [64, 190],
  mq_open: [240, 180],
  // Keys of the kernel, and its own code.
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  bpf: [321, 280],
  userfaultfd: [323, 282],
  perf_event_open: [298, 241],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  // Namespaces, mounts, and files that are found without their path.
  setns: [308, 268],
  unshare: [272, 97],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  move_mount: [429, 429],
  open_tree: [428, 428],
  open_tree_attr: [467, 467],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  open_by_handle_at: [304, 265],
  name_to_handle_at: [303, 264],
  fanotify_init: [300, 262],
  // The machine.
  reboot: [169, 142],
  swapon: [167, 224],
  swapoff: [168, 225],
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  syslog: [103, 116],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  vhangup: [153, 58],
  iopl: [172, null],
  ioperm: [173, null],
  modify_ldt: [154, null],
};

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const newNamespaces = 0x7e020000;
/** TIOCSTI and TIOCLINUX type into a terminal. */
const typingIoctls = [0x5412, 0x541c];
const [unixFamily, ip4Family] = [1, 2];
const [streamType, typeMask] = [1, 0xf];
const auditArch = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
/** Calls of the x32 interface have this bit. */
const x32Bit = 0x40000000;

const errno = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 } as const;
const allow = 0x7fff0000;
const killProcess = 0x80000000;

/** Offsets into what the kernel gives the filter: the call, the machine, and the low half of each argument. */
const at = { call: 0, arch: 4, argument: (index: number): number => 16 + 8 * index } as const;

type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, value: number];

const load = (offset: number): Instruction => [0x20, 0, 0, offset];
const mask = (value: number): Instruction => [0x54, 0, 0, value];
const answer = (value: number): Instruction => [0x06, 0, 0, value];
const fail = (name: keyof typeof errno): Instruction => answer(0x00050000 | errno[name]);
/** Runs `then` if the loaded value is equal to `value`, and goes past it otherwise. */
const whenEqual = (value: number, then: readonly Instruction[]): Instruction[] => [
  [0x15, 0, then.length, value],
  ...then,
];

/** The filter as an array of the kernel's `struct sock_filter`, little-endian as both machines are. */
export function buildFilter(arch: FilterArch, sockets: FilterSockets): Buffer {
  const numberOf = ([x64, arm64]: CallNumbers): number | null => (arch === 'x64' ? x64 : arm64);
  const call = (numbers: CallNumbers, then: readonly Instruction[]): Instruction[] => {
    const number = numberOf(numbers);
    return number === null ? [] : whenEqual(number, then);
  };
  const family = [
    load(at.argument(0)),
    ...whenEqual(unixFamily, [answer(allow)]),
    ...(sockets === 'unix'
      ? []
      : whenEqual(ip4Family, [
          load(at.argument(1)),
          mask(typeMask),
          ...whenEqual(streamType, [answer(allow)]),
        ])),
    fail('EAFNOSUPPORT'),
  ];
  const program: Instruction[] = [
    load(at.arch),
    // Another machine's numbers mean other calls.
    [0x15, 1, 0, auditArch[arch]],
    answer(killProcess),
    load(at.call),
    ...(arch === 'x64' ? ([[0x35, 0, 1, x32Bit], fail('ENOSYS')] satisfies Instruction[]) : []),
    ...Object.values(refused).flatMap((numbers) => call(numbers, [fail('EPERM')])),
    // Its flags are out of the filter's reach. The C library then uses `clone`.
    ...call(named.clone3, [fail('ENOSYS')]),
    ...call(named.clone, [
      load(at.argument(0)),
      mask(newNamespaces),
      ...whenEqual(0, [answer(allow)]),
      fail('EPERM'),
    ]),
    ...call(named.ioctl, [
      load(at.argument(1)),
      ...typingIoctls.flatMap((request) => whenEqual(request, [fail('EPERM')])),
      answer(allow),
    ]),
    ...call(named.socket, family),
    ...call(named.socketpair, family),
    answer(allow),
  ];
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, whenTrue, whenFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(whenTrue, index * 8 + 2);
    bytes.writeUInt8(whenFalse, index * 8 + 3);
    bytes.writeUInt32LE(value, index * 8 + 4);
  }
  return bytes;
}
