//! Wire formats: frames, jute, the Kafka protocol, record batches.
