//! Where the bytes of records come from: a slice, or a codec that unpacks a window at a time.
//!
//! Must not know: what a record is. Read first: [`Source`], [`Fault`].

use std::io;

/// Why records cannot be read on. Small and without a destructor: it is part of what reading one byte gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end before the records do.
    Ended,
    /// The codec does not accept its input.
    Damaged,
    /// More bytes come out than anybody should have to look at.
    TooLong,
    /// They are not what a record is made of.
    Malformed(Flaw),
}

/// What is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Number,
    RecordLength,
    FieldLength,
    HeaderCount,
    HeaderKey,
    Timestamp,
    BytesLeft,
}

impl Flaw {
    /// For people.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Number => "a number has more bits than its type",
            Self::RecordLength => "a record's length is not that of its fields",
            Self::FieldLength => "a key, value or header is longer than its record",
            Self::HeaderCount => "a record's number of headers is negative, or more than fit",
            Self::HeaderKey => "a header's key is null",
            Self::Timestamp => "a timestamp has more than 64 bits",
            Self::BytesLeft => "there are more bytes than those of its records",
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::FileTooLarge => Self::TooLong,
            _ => Self::Damaged,
        }
    }
}

/// Bytes, one after another.
pub(super) trait Source {
    /// The next one.
    fn byte(&mut self) -> Result<u8, Fault>;

    /// Shows the next bytes to `sink`, in pieces.
    fn pass(&mut self, bytes: u64, sink: &mut impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault>;

    /// How many were taken.
    fn position(&self) -> u64;

    /// True if none is left.
    fn is_at_end(&mut self) -> Result<bool, Fault>;

    /// Goes over bytes.
    fn skip(&mut self, bytes: u64) -> Result<(), Fault> {
        self.pass(bytes, &mut |_| Ok(()))
    }
}

/// Bytes that are all there.
pub(super) struct Plain<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Plain<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Source for Plain<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.bytes.get(self.at).ok_or(Fault::Ended)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn pass(&mut self, bytes: u64, sink: &mut impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let end = usize::try_from(bytes).ok().and_then(|bytes| self.at.checked_add(bytes));
        let piece = end.and_then(|end| self.bytes.get(self.at..end)).ok_or(Fault::Ended)?;
        self.at += piece.len();
        sink(piece)
    }

    #[inline]
    fn position(&self) -> u64 {
        self.at as u64
    }

    fn is_at_end(&mut self) -> Result<bool, Fault> {
        Ok(self.at == self.bytes.len())
    }
}
