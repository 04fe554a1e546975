/** Reads the filter back with a separate interpreter. The kernel runs it in seal.test.ts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { buildFilter, type FilterArch, type FilterSockets } from './filter.ts';

const allow = 0x7fff0000;
const killProcess = 0x80000000;
const [EPERM, ENOSYS, EAFNOSUPPORT] = [0x50001, 0x50026, 0x50061];
const machines = { x64: 0xc000003e, arm64: 0xc00000b7, i386: 0x40000003, arm: 0x40000028 };

type Call = { arch: keyof typeof machines; call: number; args?: readonly number[] };

/** What the kernel would do with a call. Throws where the kernel would refuse the program. */
function run(program: Buffer, { arch, call, args = [] }: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call, 0);
  data.writeUInt32LE(machines[arch], 4);
  for (const [index, value] of args.entries()) data.writeBigUInt64LE(BigInt(value), 16 + 8 * index);
  let loaded = 0;
  const end = program.length / 8;
  for (let at = 0; at < end; at += 1) {
    const [whenTrue = 0, whenFalse = 0] = program.subarray(at * 8 + 2, at * 8 + 4);
    const value = program.readUInt32LE(at * 8 + 4);
    const jump = (taken: boolean): void => void (at += taken ? whenTrue : whenFalse);
    switch (program.readUInt16LE(at * 8)) {
      case 0x20:
        assert.ok(value % 4 === 0 && value < 64, 'a load outside of the call');
        loaded = data.readUInt32LE(value);
        break;
      case 0x54:
        loaded = (loaded & value) >>> 0;
        break;
      case 0x15:
        jump(loaded === value);
        break;
      case 0x35:
        jump(loaded >= value);
        break;
      case 0x06:
        return value;
      default:
        assert.fail(`an instruction that the kernel does not know at ${at}`);
    }
  }
  return assert.fail('the program ends without an answer');
}

const calls = {
  x64: { read: 0, socket: 41, socketpair: 53, clone: 56, clone3: 435, ioctl: 16, connect: 42, ptrace: 101 },
  arm64: {
    read: 63,
    socket: 198,
    socketpair: 199,
    clone: 220,
    clone3: 435,
    ioctl: 29,
    connect: 203,
    ptrace: 117,
  },
} as const;
/** setns, unshare, mount, keyctl, bpf, process_vm_readv, pidfd_getfd, io_uring_setup, io_uring_enter, userfaultfd */
const never = {
  x64: [308, 272, 165, 250, 321, 310, 438, 425, 426, 323],
  arm64: [268, 97, 40, 219, 280, 270, 438, 425, 426, 282],
} as const;

for (const arch of ['x64', 'arm64'] as const satisfies FilterArch[]) {
  describe(`the filter on ${arch}`, () => {
    const built = (sockets: FilterSockets = 'unix'): Buffer => buildFilter(arch, sockets);
    const answer = (call: number, args: readonly number[] = [], sockets?: FilterSockets): number =>
      run(built(sockets), { arch, call, args });
    const { read, socket, socketpair, clone, clone3, ioctl, connect, ptrace } = calls[arch];

    test('allows unix sockets of every type and no other family', () => {
      for (const call of [socket, socketpair]) {
        for (const type of [1, 2, 5, 0x80801]) assert.equal(answer(call, [1, type]), allow);
        for (let family = 0; family < 50; family += 1)
          if (family !== 1) assert.equal(answer(call, [family, 1]), EAFNOSUPPORT, `family ${family}`);
      }
    });

    test('with a namespace, allows TCP over IPv4, too', () => {
      const SOCK_STREAM_CLOEXEC_NONBLOCK = 0x80801;
      assert.equal(answer(socket, [2, SOCK_STREAM_CLOEXEC_NONBLOCK], 'tcp4'), allow);
      for (const type of [2, 3, 5, 0x80802]) assert.equal(answer(socket, [2, type], 'tcp4'), EAFNOSUPPORT);
      for (const family of [0, 10, 16, 17, 31, 38, 40, 44])
        assert.equal(answer(socket, [family, 1], 'tcp4'), EAFNOSUPPORT, `family ${family}`);
    });

    test('is not misled by the high half of an argument', () => {
      assert.equal(answer(socket, [2 ** 32 + 1, 1]), allow);
      assert.equal(answer(socket, [2 ** 32 + 2, 1]), EAFNOSUPPORT);
    });

    test('refuses calls that trace, mount, or make sockets in another way', () => {
      for (const call of [...never[arch], ptrace]) assert.equal(answer(call), EPERM, `call ${call}`);
      assert.equal(answer(clone3), ENOSYS);
    });

    test('refuses new namespaces, and allows threads and processes', () => {
      const [thread, fork] = [0x3d0f00, 0x1200011];
      for (const flags of [thread, fork]) assert.equal(answer(clone, [flags]), allow);
      for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
        assert.equal(answer(clone, [fork + flag]), EPERM, `flag ${flag}`);
    });

    test('refuses to type into a terminal', () => {
      for (const request of [0x5412, 0x541c]) assert.equal(answer(ioctl, [0, request]), EPERM);
      assert.equal(answer(ioctl, [0, 0x5413]), allow);
    });

    test('allows what it does not name', () => {
      for (const call of [read, connect]) assert.equal(answer(call), allow);
    });

    test('kills a process that uses the calls of another machine', () => {
      for (const other of Object.keys(machines) as (keyof typeof machines)[])
        if (other !== arch) assert.equal(run(built(), { arch: other, call: read }), killProcess);
    });
  });
}

test('the filter on x64 refuses every call of x32', () => {
  const x32 = 0x40000000;
  for (const call of [0, calls.x64.socket, 511])
    assert.equal(run(buildFilter('x64', 'unix'), { arch: 'x64', call: x32 + call }), ENOSYS);
});
