//! Partition replication: leader, follower, ISR, high watermark, leader epochs, producer state.
