/** Listens on loopback and hands the socket to its parent, which is in another network namespace. */
import { createServer } from 'node:net';

const server = createServer();
server.listen(0, '127.0.0.1', () => process.send?.(process.pid, server));
// The parent has opened the namespace, or is gone. A channel that ends before its first message has no event for it (Node 24).
process.stdin.on('end', () => process.exit()).resume();
