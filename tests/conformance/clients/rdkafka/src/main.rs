//! rdkafka (librdkafka from Rust): produces to and consumes from each topic in a group, with each codec.
//! What was read is printed as TOPIC CODEC VALUE.
//!
//! Usage: conformance-rdkafka BOOTSTRAP TOPICS CODECS COUNT TAG

use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const PATIENCE: Duration = Duration::from_secs(40);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topics, codecs, count, tag] = arguments.as_slice() else {
        return Err("usage: conformance-rdkafka BOOTSTRAP TOPICS CODECS COUNT TAG".into());
    };
    let count: usize = count.parse()?;
    for topic in topics.split(',') {
        for codec in codecs.split(',') {
            produce(bootstrap, topic, codec, count, tag)?;
        }
        consume(bootstrap, topic, count * codecs.split(',').count(), tag)?;
    }
    Ok(())
}

fn produce(bootstrap: &str, topic: &str, codec: &str, count: usize, tag: &str) -> Result<(), Box<dyn Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("compression.type", codec)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("message.timeout.ms", "30000")
        .create()?;
    for number in 0..count {
        let (key, value) = (format!("k{number}"), format!("{tag}-{codec}-{number}"));
        producer.send(BaseRecord::to(topic).key(&key).payload(&value)).map_err(|(error, _)| error)?;
    }
    producer.flush(PATIENCE)?;
    if producer.in_flight_count() > 0 {
        return Err(format!("{topic} {codec}: not all values were acknowledged").into());
    }
    Ok(())
}

fn consume(bootstrap: &str, topic: &str, wanted: usize, tag: &str) -> Result<(), Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", format!("rdkafka-{tag}-{topic}"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()?;
    consumer.subscribe(&[topic])?;
    let (started, mut got) = (Instant::now(), 0);
    while got < wanted {
        if started.elapsed() > PATIENCE {
            return Err(format!("{topic}: {got} of {wanted} values came").into());
        }
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let message = message?;
        let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        if let Some(rest) = value.strip_prefix(&format!("{tag}-")) {
            println!("{topic} {} {value}", rest.split('-').next().unwrap_or_default());
            got += 1;
        }
    }
    consumer.commit_consumer_state(CommitMode::Sync)?;
    Ok(())
}
