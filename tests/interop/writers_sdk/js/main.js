// SPDX-License-Identifier: Apache-2.0
// Spans of dd-trace: such as interleave on one thread, of which nobody knows what CPU time they took, and such as follow
// each other, without a turn of the event loop in between. Prints each span's ids, and of the latter the CPU ns of the
// thread between the two times that are exported for them, and how far that may be off.
'use strict'
const tracer = require('dd-trace').init({ plugins: false })
const { WASI } = require('node:wasi')
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// What can read the thread's CPU clock in plain Node: WASI, which wants a module that exports a memory.
const THREAD_CPU = 3
const module_ = new WebAssembly.Module(new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // magic, version
  1, 4, 1, 0x60, 0, 0, // a type: () -> ()
  3, 2, 1, 0, // a function of it
  5, 3, 1, 0, 1, // a memory of a page
  7, 24, 2, 6, ...Buffer.from('memory'), 2, 0, 11, ...Buffer.from('_initialize'), 0, 0,
  10, 4, 1, 2, 0, 0x0b // its body: end
]))
const wasi = new WASI({ version: 'preview1' })
const instance = new WebAssembly.Instance(module_)
wasi.initialize(instance)
const words = new BigInt64Array(instance.exports.memory.buffer)

function cpu () {
  wasi.wasiImport.clock_time_get(THREAD_CPU, 0n, 0)
  return Number(words[0])
}

const now = () => performance.timeOrigin + performance.now() // ms

// An exported time, with the CPU clock beside it; taken again when something came in between.
function edge () {
  let at, before, after
  for (let i = 0; i < 3; i++) {
    before = cpu()
    at = now()
    after = cpu()
    if (after - before < 2000) break
  }
  return { at, ns: (before + after) / 2, slack: (after - before) / 2 }
}

function spin (ms) {
  const end = performance.now() + ms
  while (performance.now() < end);
}

async function interleaved (name, work) {
  await tracer.trace(name, async (span) => {
    await work()
    console.log('span', span.context().toTraceId(true), span.context().toSpanId(true), '-')
  })
}

const request = () => interleaved('outer', async () => {
  spin(3)
  await sleep(5)
  await interleaved('inner', async () => {
    spin(2)
    await sleep(4)
  })
})

function within (name, work) {
  const start = edge()
  const span = tracer.startSpan(name, { startTime: start.at, childOf: tracer.scope().active() ?? undefined })
  tracer.scope().activate(span, work)
  const end = edge()
  span.finish(end.at)
  console.log('span', span.context().toTraceId(true), span.context().toSpanId(true),
    Math.round(end.ns - start.ns), Math.round(start.slack + end.slack))
}

const word = new Int32Array(new SharedArrayBuffer(4))
const between = (least, most) => least + Math.random() * (most - least)

function straight () {
  within('straight', () => {
    spin(between(0.05, 3))
    Atomics.wait(word, 0, 0, between(0.5, 5))
    within('part', () => {
      spin(between(0.02, 2))
      Atomics.wait(word, 0, 0, between(0.5, 4))
    })
    within('brief', () => spin(between(0.02, 0.2)))
    spin(between(0.02, 0.5))
  })
}

async function main () {
  for (let i = 0; i < 40; i++) {
    straight()
    await sleep(1)
  }
  for (let i = 0; i < 10; i++) await Promise.all([request(), request(), request()])
  await sleep(3000) // until they are exported
  process.exit(0)
}
interleaved('warm', () => sleep(1)).then(() => {
  console.log('ready')
  process.stdin.once('data', main)
})
