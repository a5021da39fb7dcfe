//! Jute's primitives. A count reserves nothing: every element must be there.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::znode::{Acl, Identity};

use super::JuteError;

type Result<T> = std::result::Result<T, JuteError>;

/// Reads fields off the front of a frame.
#[derive(Clone, Debug)]
pub struct Reader(Bytes);

impl Reader {
    /// Reads from a frame's body.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// What was not read yet.
    pub fn rest(&self) -> &Bytes {
        &self.0
    }

    /// A boolean.
    ///
    /// # Errors
    /// The record ends.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.array::<1>()?[0] != 0)
    }

    /// A 32-bit integer.
    ///
    /// # Errors
    /// The record ends.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A 64-bit integer.
    ///
    /// # Errors
    /// The record ends.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A buffer; null and empty differ.
    ///
    /// # Errors
    /// The record ends, or the length is impossible.
    pub fn buffer(&mut self) -> Result<Option<Bytes>> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| JuteError::Length)?;
        if length > self.0.len() {
            return Err(JuteError::Length);
        }
        Ok(Some(self.0.split_to(length)))
    }

    /// A string; null reads as empty.
    ///
    /// # Errors
    /// As [`Reader::buffer`], or it is not UTF-8.
    pub fn string(&mut self) -> Result<String> {
        let bytes = self.buffer()?.unwrap_or_default();
        String::from_utf8(bytes.to_vec()).map_err(|_| JuteError::Utf8)
    }

    /// A vector; null reads as empty.
    ///
    /// # Errors
    /// As its elements, or the count is impossible.
    pub fn vector<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.i32()?;
        if count < -1 || i64::from(count) > self.0.len() as i64 {
            return Err(JuteError::Length);
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// An ACL.
    ///
    /// # Errors
    /// As its fields.
    pub fn acls(&mut self) -> Result<Vec<Acl>> {
        self.vector(|r| {
            let perms = r.i32()?;
            let scheme = r.string()?;
            Ok(Acl { perms, who: Identity { scheme, id: r.string()? } })
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let array = self.0.first_chunk::<N>().copied().ok_or(JuteError::CutOff)?;
        self.0.advance(N);
        Ok(array)
    }
}

/// Writes a buffer; null as length -1.
pub fn put_buffer(out: &mut BytesMut, buffer: Option<&[u8]>) {
    match buffer {
        None => out.put_i32(-1),
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).expect("the frame limit bounds every field"));
            out.put_slice(bytes);
        }
    }
}

/// Writes a string.
pub fn put_string(out: &mut BytesMut, text: &str) {
    put_buffer(out, Some(text.as_bytes()));
}
