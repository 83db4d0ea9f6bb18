// What the JavaScript clients have in common: cells in, outcomes out. The README beside the clients has the words.
'use strict'
const readline = require('node:readline')

class Lacks extends Error {}

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

function records(cell, begin, end) {
  const out = []
  for (let i = begin; i < end; i++) {
    for (let p = 0; p < Number(cell.partitions); p++) {
      out.push({
        partition: p,
        key: i % 10 === 7 ? null : Buffer.from(`k-${p}-${i}`),
        value: i % 10 === 3 ? null : Buffer.from(`v-${p}-${i}-` + 'abcdefgh'.repeat(16)),
        headers: { a: Buffer.from(`${p}-${i}`), b: Buffer.from([0, 0xff, 0x7f]), c: Buffer.alloc(0) },
      })
    }
  }
  return out
}

async function* halves(cell) {
  const n = Number(cell.records)
  if (cell.outage !== 'true') {
    yield [0, n]
    return
  }
  yield [0, n / 2]
  console.log('half')
  await lines.next()
  yield [n / 2, n]
}

async function serve(name, version, run) {
  console.log(['hello', name, version, 'Node.js ' + process.versions.node].join('\t'))
  for (;;) {
    const { value: line, done } = await lines.next()
    if (done) process.exit(0)
    const cell = Object.fromEntries(line.split('\t').map(f => [f.slice(0, f.indexOf('=')), f.slice(f.indexOf('=') + 1)]))
    try {
      console.log(`done\t${await run(cell)}`)
    } catch (e) {
      console.error(e)
      const why = [e, e.cause, ...(e.errors ?? []), ...(e.cause?.errors ?? [])].filter(Boolean).map(x => x.message).join(': ')
      console.log(`${e instanceof Lacks ? 'lacks' : 'failed'}\t${why.replace(/\s+/g, ' ')}`)
    }
  }
}

module.exports = { Lacks, records, halves, serve }
