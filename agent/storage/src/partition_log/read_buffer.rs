//! Memory that cold reads fill: used again and again, because to get it fresh costs as much as half the read (the kernel clears each
//! page, the allocator each buffer).
//!
//! Must not know: what is read. Read first: [`ReadBuffer`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

/// Sizes of buffers that are kept, bytes; smaller ones are cheap, larger ones rare.
const KEPT: std::ops::RangeInclusive<usize> = 64 * 1024..=4 * 1024 * 1024;
/// What one thread keeps of buffers that nobody uses, bytes: what one answer of `fetch.max.bytes` = 50 MB fills of a third of the
/// members, roughly.
const SHELF_BYTES: usize = 24 * 1024 * 1024;

/// Buffers that nobody uses, by size. What is in them does not matter; they are written before they are read.
#[derive(Default)]
struct Shelf {
    by_size: BTreeMap<usize, Vec<Vec<u8>>>,
    bytes: usize,
}

type Home = Arc<Mutex<Shelf>>;

thread_local! {
    /// Reads and the writing of answers are one thread's; whoever drops a buffer elsewhere sends it home.
    static HOME: RefCell<Home> = RefCell::default();
}

/// A buffer to read into. Dropped, it goes back to the thread that took it.
pub(super) struct ReadBuffer {
    memory: Vec<u8>,
    len: usize,
    home: Weak<Mutex<Shelf>>,
}

impl ReadBuffer {
    /// A buffer of that length, of any content.
    pub(super) fn take(len: usize) -> Self {
        let size = len.checked_next_power_of_two().filter(|size| KEPT.contains(size));
        let Some(size) = size else {
            return Self { memory: vec![0; len], len, home: Weak::new() };
        };
        HOME.with_borrow(|home| {
            let used_before = home.lock().unwrap_or_else(PoisonError::into_inner).take(size);
            let memory = used_before.unwrap_or_else(|| vec![0; size]);
            Self { memory, len, home: Arc::downgrade(home) }
        })
    }

    /// All of it, to be filled.
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }

    /// The first `len` bytes, without a copy.
    pub(super) fn freeze(mut self, len: usize) -> Bytes {
        self.len = self.len.min(len);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.lock().unwrap_or_else(PoisonError::into_inner).put(std::mem::take(&mut self.memory));
        }
    }
}

impl Shelf {
    fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        let memory = self.by_size.get_mut(&size)?.pop()?;
        self.bytes -= size;
        Some(memory)
    }

    fn put(&mut self, memory: Vec<u8>) {
        if self.bytes + memory.len() <= SHELF_BYTES {
            self.bytes += memory.len();
            self.by_size.entry(memory.len()).or_default().push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn kept() -> usize {
        HOME.with_borrow(|home| home.lock().expect("no panic before").bytes)
    }

    #[test]
    fn a_buffer_is_used_again_wherever_it_was_dropped() {
        let mut first = ReadBuffer::take(MIB - 5);
        first.as_mut().fill(7);
        let place = first.as_ref().as_ptr();
        let bytes = first.freeze(10);
        assert_eq!(&bytes[..], [7; 10]);
        let shared = bytes.slice(2..4);
        drop(bytes);
        assert_eq!(kept(), 0, "a part of it is in use");
        std::thread::scope(|scope| drop(scope.spawn(move || drop(shared))));
        assert_eq!(kept(), MIB);
        assert_eq!(ReadBuffer::take(MIB).as_ref().as_ptr(), place);
    }

    #[test]
    fn no_more_is_kept_than_the_bound_and_nothing_of_unusual_sizes() {
        let many: Vec<ReadBuffer> = (0..40).map(|_| ReadBuffer::take(MIB)).collect();
        drop(many);
        assert_eq!(kept(), SHELF_BYTES);
        drop((ReadBuffer::take(100), ReadBuffer::take(5 * MIB)));
        assert_eq!(kept(), SHELF_BYTES);
    }
}
