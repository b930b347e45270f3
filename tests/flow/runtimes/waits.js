// SPDX-License-Identifier: Apache-2.0
// Waits of Node's, each in a span (spans.c), all of them at each line that comes in. Says who ends them.
const fs = require('fs'), http = require('http'), child_process = require('child_process');
const { Worker } = require('worker_threads');
const WHILE_MS = 30;

const ask = path => { try { fs.accessSync(path); } catch { } };
const begin = name => ask('/spans/begin/' + name), end = () => ask('/spans/end');
const tell = value => fs.writeSync(1, JSON.stringify(value) + '\n');
const say = (name, waker, waker_tid = 0) => tell({ name, waker, waker_tid });

function inSpan(name, wait) {
  begin(name);
  wait();
  end();
}

async function awaited(name, wait) {
  begin(name);
  await wait();
  end();
}

// It ends only when it is told to, for its end is an event of its own.
function write() {
  const writer = child_process.spawn('sh', ['-c', 'sleep 0.05; echo x > orders.fifo; read word']);
  const closed = new Promise(resolve => writer.on('close', resolve));
  return () => { writer.stdin.end(); return closed; };
}

async function all(worker, server) {
  const word = new Int32Array(new SharedArrayBuffer(4));
  say('atomics', 'timer');
  inSpan('atomics', () => Atomics.wait(word, 0, 0, WHILE_MS));
  say('atomics-worker', 'thread');
  worker.postMessage(word);
  inSpan('atomics-worker', () => Atomics.wait(word, 0, 0));
  const fifo = fs.openSync('orders.fifo', 'r+');
  let written = write();
  say('pipe', 'thread');
  inSpan('pipe', () => fs.readSync(fifo, Buffer.alloc(16)));
  await written();
  written = write();
  say('pool', 'thread');
  await awaited('pool', () => new Promise(resolve => fs.read(fifo, Buffer.alloc(16), 0, 16, null, resolve)));
  await written();
  fs.closeSync(fifo);
  inSpan('spawn', () => child_process.spawnSync('sleep', ['0.1']));
  const file = fs.openSync('node.dat', 'w');
  fs.writeSync(file, Buffer.alloc(1 << 20));
  inSpan('fsync', () => fs.fsyncSync(file));
  fs.closeSync(file);
  say('timer', 'timer');
  await awaited('timer', () => new Promise(resolve => setTimeout(resolve, WHILE_MS)));
  say('http', 'network');
  await awaited('http', () => new Promise(resolve =>
    http.get(server, answer => answer.resume().on('end', resolve))));
}

const worker = new Worker(`require('worker_threads').parentPort.on('message', word => setTimeout(() => {
  Atomics.store(word, 0, 1); Atomics.notify(word, 0); }, ${WHILE_MS}))`, { eval: true });
worker.on('online', () => tell('started'));
process.stdin.on('data', async () => {
  await all(worker, process.argv[2]);
  tell('done');
});
process.stdin.on('end', () => process.exit(0));
