//! A part of what is sent: bytes in memory, or bytes that are read only when the receiver takes them.
//!
//! An answer of many megabytes would else be read as a whole, and wait in memory that is cold again when its turn comes.
//! Must not know: where bytes are read from. Read first: [`Piece`].

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;

/// Where bytes are read from later.
pub trait Source: Send + Sync {
    /// Bytes from position `at` of the piece on: about `bytes_max` of them, at least one.
    ///
    /// # Errors
    /// They cannot be read, or not in one piece with those before: what was promised cannot be sent.
    fn read(&self, at: usize, bytes_max: usize) -> io::Result<Bytes>;

    /// The file and the position where byte `at` and all those after it stand, if they may leave from there as they are.
    fn in_file(&self, _at: usize) -> Option<(BorrowedFd<'_>, u64)> {
        None
    }
}

/// Bytes of a known number that are still to be read.
#[derive(Clone)]
pub struct Later {
    source: Arc<dyn Source>,
    at: usize,
    end: usize,
}

/// A part of what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// In memory.
    Ready(Bytes),
    /// To be read.
    Later(Later),
}

impl Later {
    /// The first `len` bytes of a source.
    pub fn new(source: Arc<dyn Source>, len: usize) -> Self {
        Self { source, at: 0, end: len }
    }

    /// Bytes that are still to be read.
    pub fn len(&self) -> usize {
        self.end - self.at
    }

    /// True if some of it has left already.
    pub fn is_begun(&self) -> bool {
        self.at > 0
    }

    /// True if all of it is read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next bytes, about `bytes_max` of them; none only at the end.
    ///
    /// # Errors
    /// As [`Source::read`], and if the source gives other than it promised.
    pub fn read(&mut self, bytes_max: usize) -> io::Result<Bytes> {
        if self.is_empty() {
            return Ok(Bytes::new());
        }
        let bytes = self.source.read(self.at, bytes_max)?;
        if bytes.is_empty() || bytes.len() > self.len() {
            let told = format!("{} bytes came where {} were due", bytes.len(), self.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        self.at += bytes.len();
        Ok(bytes)
    }

    /// The file and the position where the next [`Later::len`] bytes stand, if they may leave from there without being read.
    pub fn in_file(&self) -> Option<(BorrowedFd<'_>, u64)> {
        self.source.in_file(self.at)
    }

    /// Goes on behind bytes that left from their file; from there on, all that follow have to: what is read begins where a read ended.
    pub fn skip(&mut self, bytes: usize) {
        self.at = self.end.min(self.at + bytes);
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").field("at", &self.at).field("end", &self.end).finish_non_exhaustive()
    }
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && (self.at, self.end) == (other.at, other.end)
    }
}

impl Eq for Later {}

impl Piece {
    /// Bytes of it.
    pub fn len(&self) -> usize {
        match self {
            Self::Ready(bytes) => bytes.len(),
            Self::Later(later) => later.len(),
        }
    }

    /// True if it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, read now.
    ///
    /// # Errors
    /// As [`Later::read`].
    pub fn read_all(self) -> io::Result<Bytes> {
        let mut later = match self {
            Self::Ready(bytes) => return Ok(bytes),
            Self::Later(later) => later,
        };
        let mut all = Vec::with_capacity(later.len());
        while !later.is_empty() {
            all.extend_from_slice(&later.read(later.len())?);
        }
        Ok(all.into())
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self::Ready(bytes)
    }
}

/// All bytes of pieces that follow one another: without a copy if it is one piece already.
///
/// # Errors
/// As [`Later::read`].
pub fn joined(pieces: Vec<Piece>) -> io::Result<Bytes> {
    let mut parts: Vec<Bytes> = pieces.into_iter().map(Piece::read_all).collect::<io::Result<_>>()?;
    Ok(if parts.len() == 1 { parts.remove(0) } else { parts.concat().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Steps(&'static [u8], usize);

    impl Source for Steps {
        fn read(&self, at: usize, bytes_max: usize) -> io::Result<Bytes> {
            let end = self.0.len().min(at + self.1.min(bytes_max));
            Ok(Bytes::from_static(&self.0[at..end]))
        }
    }

    fn later(source: Steps, len: usize) -> Later {
        Later::new(Arc::new(source), len)
    }

    #[test]
    fn what_is_read_later_comes_in_order_and_once() {
        let mut piece = later(Steps(b"abcdefg", 3), 7);
        assert_eq!(piece.read(2).expect("two"), "ab");
        assert_eq!(piece.len(), 5);
        assert_eq!(Piece::Later(piece.clone()).read_all().expect("the rest"), "cdefg");
        let pieces = vec![Bytes::from_static(b"x").into(), Piece::Later(piece), Bytes::new().into()];
        assert_eq!(joined(pieces).expect("all"), "xcdefg");
    }

    #[test]
    fn a_source_that_does_not_keep_its_word_is_an_error() {
        assert!(later(Steps(b"ab", 3), 3).read(0).is_err(), "nothing");
        let mut cut = later(Steps(b"ab", 3), 3);
        assert_eq!(cut.read(9).expect("what there is"), "ab");
        assert!(cut.read(9).is_err(), "the end, too early");
        assert!(later(Steps(b"abcd", 4), 3).read(9).is_err(), "more than was promised");
    }
}
