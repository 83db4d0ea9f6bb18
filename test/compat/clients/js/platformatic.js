// @platformatic/kafka, a client of its own.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const zlib = require('node:zlib')
const { Lacks, records, halves, serve } = require('./cell')

async function main() {
  const { Producer } = await import('@platformatic/kafka')
  const version = JSON.parse(fs.readFileSync(path.join(__dirname, 'node_modules/@platformatic/kafka/package.json'))).version
  await serve('@platformatic/kafka', version, async cell => {
    if (cell.codec === 'zstd' && !zlib.zstdCompressSync) throw new Lacks('zstd needs Node.js 22.15 or later')
    const conf = { clientId: 'compat', bootstrapBrokers: [cell.bootstrap], autocreateTopics: false, idempotent: cell.idempotent === 'true', acks: -1, compression: cell.codec }
    if (cell.protocol.endsWith('SSL')) conf.tls = { ca: [fs.readFileSync(cell.ca, 'utf8')] }
    if (cell.mechanism === 'OAUTHBEARER') conf.sasl = { mechanism: cell.mechanism, token: cell.token }
    else if (cell.mechanism) conf.sasl = { mechanism: cell.mechanism, username: cell.user, password: cell.password }
    const producer = new Producer(conf)
    let acked = 0
    try {
      for await (const [begin, end] of halves(cell)) {
        const messages = records(cell, begin, end).map(r => ({ ...r, topic: cell.topic, key: r.key ?? undefined, value: r.value ?? undefined, headers: new Map(Object.entries(r.headers).map(([k, v]) => [Buffer.from(k), v])) }))
        await producer.send({ messages })
        acked += messages.length
      }
    } finally {
      await producer.close()
    }
    return acked
  })
}

main()
