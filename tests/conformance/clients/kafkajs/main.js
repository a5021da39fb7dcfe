// kafkajs: produces to and consumes from each topic in a group, with each codec. Prints what it read as TOPIC CODEC VALUE.
// Usage: main.js BOOTSTRAP TOPICS CODECS COUNT TAG
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

const [bootstrap, topics, codecs, count, tag] = process.argv.slice(2)
const types = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

// kafkajs brings gzip; the others are plugged in, as its manual says.
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  // Frames of independent blocks: Apache Kafka knows no others.
  compress: async (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrame(buffer),
})
const zstd = new Promise((resolve) => ZstdCodec.run((codec) => resolve(new codec.Streaming())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
})

const kafka = new Kafka({ clientId: 'kafkajs', brokers: bootstrap.split(','), logLevel: logLevel.ERROR })

async function produce(topic, codec) {
  const producer = kafka.producer({ idempotent: true })
  await producer.connect()
  const messages = [...Array(Number(count)).keys()].map((i) => ({ key: `k${i}`, value: `${tag}-${codec}-${i}` }))
  await producer.send({ topic, acks: -1, compression: types[codec], messages })
  await producer.disconnect()
}

async function consume(topic) {
  const left = new Map(codecs.split(',').map((codec) => [codec, Number(count)]))
  const consumer = kafka.consumer({ maxWaitTimeInMs: 100, groupId: `kafkajs-${tag}-${topic}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${topic}: still missing ${JSON.stringify([...left])}`)), 40000)
    const eachMessage = async ({ message }) => {
      const value = message.value.toString()
      if (!value.startsWith(`${tag}-`)) return
      const codec = value.split('-')[1]
      console.log(topic, codec, value)
      left.set(codec, left.get(codec) - 1)
      if ([...left.values()].every((n) => n <= 0)) {
        clearTimeout(timer)
        resolve()
      }
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  // Commits and leaves the group.
  await consumer.disconnect()
}

async function main() {
  for (const topic of topics.split(',')) {
    for (const codec of codecs.split(',')) await produce(topic, codec)
    await consume(topic)
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  }
)
