//! Fields of our own formats (between agents, in the log, in snapshots): big-endian, lengths in 32 bits.
//!
//! Must not know: what the fields mean. A count reserves nothing: every element must be there. Read first: [`Get`].

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes that are not what our own encoder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of our own format is malformed")]
pub struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// Reads fields off the front.
#[derive(Clone, Debug)]
pub struct Get(pub Bytes);

impl Get {
    /// An array of bytes.
    ///
    /// # Errors
    /// Too little is left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let array = self.0.first_chunk::<N>().copied().ok_or(Malformed)?;
        self.0.advance(N);
        Ok(array)
    }

    /// A byte.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// A boolean.
    ///
    /// # Errors
    /// Nothing is left, or it is neither 0 nor 1.
    pub fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// A 16-bit number.
    ///
    /// # Errors
    /// Too little is left.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// A 32-bit number.
    ///
    /// # Errors
    /// Too little is left.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A 64-bit number.
    ///
    /// # Errors
    /// Too little is left.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A 64-bit number without a sign.
    ///
    /// # Errors
    /// Too little is left.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Bytes with their length before them; a slice of the input.
    ///
    /// # Errors
    /// The length is more than what is left.
    pub fn bytes(&mut self) -> Result<Bytes> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        if length > self.0.len() {
            return Err(Malformed);
        }
        Ok(self.0.split_to(length))
    }

    /// Text.
    ///
    /// # Errors
    /// As [`Get::bytes`], or it is not UTF-8.
    pub fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Malformed)
    }

    /// A list with its count before it.
    ///
    /// # Errors
    /// As its elements.
    pub fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = u32::from_be_bytes(self.array()?);
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    /// Something that may be absent.
    ///
    /// # Errors
    /// As the thing.
    pub fn option<T>(&mut self, thing: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.bool()? { thing(self).map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Writes bytes with their length before them.
pub fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).expect("a frame bounds every field"));
    out.put_slice(bytes);
}

/// Writes text.
pub fn put_text(out: &mut BytesMut, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Writes a list with its count before it.
pub fn put_list<T>(
    out: &mut BytesMut,
    list: impl ExactSizeIterator<Item = T>,
    mut element: impl FnMut(&mut BytesMut, T),
) {
    out.put_u32(u32::try_from(list.len()).expect("a frame bounds every list"));
    list.for_each(|item| element(out, item));
}

/// Writes something that may be absent.
pub fn put_option<T>(out: &mut BytesMut, option: Option<T>, thing: impl FnOnce(&mut BytesMut, T)) {
    out.put_u8(u8::from(option.is_some()));
    if let Some(value) = option {
        thing(out, value);
    }
}
