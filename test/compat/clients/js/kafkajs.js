// kafkajs, with snappy, lz4 and zstd plugged in the way its documents tell: it brings only gzip itself.
'use strict'
const fs = require('node:fs')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')
const { records, halves, serve } = require('./cell')

const types = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({ compress: encoder => lz4.compressFrame(encoder.buffer), decompress: b => lz4.decompressFrame(b) })

async function run(cell) {
  const conf = { clientId: 'compat', brokers: [cell.bootstrap], logLevel: logLevel.WARN }
  if (cell.protocol.endsWith('SSL')) conf.ssl = { ca: [fs.readFileSync(cell.ca, 'utf8')] }
  if (cell.mechanism === 'OAUTHBEARER') conf.sasl = { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: cell.token }) }
  else if (cell.mechanism) conf.sasl = { mechanism: cell.mechanism.toLowerCase(), username: cell.user, password: cell.password }
  const producer = new Kafka(conf).producer({ idempotent: cell.idempotent === 'true', allowAutoTopicCreation: false })
  let acked = 0
  await producer.connect()
  try {
    for await (const [begin, end] of halves(cell)) {
      const messages = records(cell, begin, end)
      await producer.send({ topic: cell.topic, acks: -1, compression: types[cell.codec], messages })
      acked += messages.length
    }
  } finally {
    await producer.disconnect()
  }
  return acked
}

ZstdCodec.run(zstd => {
  const simple = new zstd.Simple()
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({ compress: async encoder => Buffer.from(simple.compress(encoder.buffer)), decompress: async b => Buffer.from(simple.decompress(b)) })
  serve('kafkajs', require('kafkajs/package.json').version, run)
})
