//! ZooKeeper's clients: their connections, what their bytes mean, what they are answered.

pub(crate) mod connection;
pub(crate) mod reads;
pub(crate) mod replies;
pub(crate) mod sasl;
pub(crate) mod words;
