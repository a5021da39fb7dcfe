//! Proof that something is on disk, so that an acknowledgement cannot be built before it is true.

/// Everything up to and including the value is covered by a completed flush: a power cut keeps it.
///
/// Zab's `Ack` and a replica's durable end take this type and nothing else (TigerBeetle's rule: what must be durable
/// before what is written on the type that carries it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// Makes the proof. Only code that handles a storage completion may call this; the tidy test lists the callers.
    pub fn flushed(value: T) -> Self {
        Self(value)
    }

    /// The value that is known to be on disk.
    pub fn get(self) -> T {
        self.0
    }
}
