// SPDX-License-Identifier: Apache-2.0
// Spans of dd-trace that interleave on one thread. Prints each span's ids; what CPU time each took nobody knows.
'use strict'
const tracer = require('dd-trace').init({ plugins: false })
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function spin (ms) {
  const end = performance.now() + ms
  while (performance.now() < end);
}

async function within (name, work) {
  await tracer.trace(name, async (span) => {
    await work()
    console.log('span', span.context().toTraceId(true), span.context().toSpanId(true), '-')
  })
}

const request = () => within('outer', async () => {
  spin(3)
  await sleep(5)
  await within('inner', async () => {
    spin(2)
    await sleep(4)
  })
})

async function main () {
  for (let i = 0; i < 10; i++) await Promise.all([request(), request(), request()])
  await sleep(3000) // until they are exported
  process.exit(0)
}
within('warm', () => sleep(1)).then(() => {
  console.log('ready')
  process.stdin.once('data', main)
})
