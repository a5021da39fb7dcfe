//! Kafka's primitives, in both encodings: fixed lengths, and the compact ones of flexible versions.
//!
//! A claimed count reserves nothing: every element must be there. Records stay the slices they came as, and leave as they are.
//! Read first: [`Decoder`], [`Encoder`].

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use streamkeeper_base::piece::{self, Piece};

/// The bytes are not what the schema says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Kafka message is malformed: {0}")]
pub struct KafkaError(pub &'static str);

/// What decoding gives.
pub type Result<T> = std::result::Result<T, KafkaError>;

/// Record batches: one or more pieces that follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records(pub Vec<Piece>);

impl Records {
    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.0.iter().map(Piece::len).sum()
    }

    /// True if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Piece::is_empty)
    }

    /// All of it as one piece: without a copy if it is one already.
    ///
    /// # Errors
    /// What was to be read later cannot be read; never of what was decoded.
    pub fn joined(self) -> io::Result<Bytes> {
        piece::joined(self.0)
    }
}

/// Reads fields off the front of a frame.
#[derive(Clone, Debug)]
pub struct Decoder(pub Bytes);

impl Decoder {
    fn array_of<const N: usize>(&mut self) -> Result<[u8; N]> {
        let array = self.0.first_chunk::<N>().copied().ok_or(KafkaError("a field is cut off"))?;
        self.0.advance(N);
        Ok(array)
    }

    /// A boolean.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.array_of::<1>()?[0] != 0)
    }

    /// 8 bits.
    pub fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.array_of()?))
    }

    /// 16 bits.
    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array_of()?))
    }

    /// 16 bits without a sign.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array_of()?))
    }

    /// 32 bits.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array_of()?))
    }

    /// 32 bits without a sign.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array_of()?))
    }

    /// 64 bits.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array_of()?))
    }

    /// A fraction.
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.array_of()?))
    }

    /// 16 bytes.
    pub fn uuid(&mut self) -> Result<[u8; 16]> {
        self.array_of()
    }

    /// A number of one to five bytes, seven bits each.
    pub fn varint(&mut self) -> Result<u32> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.array_of::<1>()?[0];
            value |= u32::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(KafkaError("a number is too long"))
    }

    /// A length: `None` for null.
    fn length(&mut self, flexible: bool, wide: bool) -> Result<Option<usize>> {
        let length = if flexible {
            i64::from(self.varint()?) - 1
        } else if wide {
            i64::from(self.i32()?)
        } else {
            i64::from(self.i16()?)
        };
        if length > self.0.len() as i64 || length < -1 {
            return Err(KafkaError("a length or count is larger than the frame"));
        }
        Ok(usize::try_from(length).ok())
    }

    /// Text that may be null.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<String>> {
        let Some(length) = self.length(flexible, false)? else { return Ok(None) };
        let bytes = self.0.split_to(length);
        let text = std::str::from_utf8(&bytes).map_err(|_| KafkaError("a string is not UTF-8"))?;
        Ok(Some(text.to_owned()))
    }

    /// Text.
    pub fn string(&mut self, flexible: bool) -> Result<String> {
        self.nullable_string(flexible)?.ok_or(KafkaError("a string is null"))
    }

    /// Bytes that may be null.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>> {
        Ok(self.length(flexible, true)?.map(|length| self.0.split_to(length)))
    }

    /// Bytes.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes> {
        self.nullable_bytes(flexible)?.ok_or(KafkaError("bytes are null"))
    }

    /// Record batches, a slice of the frame.
    pub fn nullable_records(&mut self, flexible: bool) -> Result<Option<Records>> {
        Ok(self.nullable_bytes(flexible)?.map(|bytes| Records(vec![bytes.into()])))
    }

    /// A list that may be null.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(count) = self.length(flexible, true)? else { return Ok(None) };
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(Some(list))
    }

    /// A list.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.nullable_array(flexible, element)?.ok_or(KafkaError("a list is null"))
    }

    /// Tagged fields; unknown ones are skipped.
    pub fn tagged(&mut self, mut known: impl FnMut(u32, &mut Self) -> Result<bool>) -> Result<()> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            if size > self.0.len() {
                return Err(KafkaError("a tagged field is larger than the frame"));
            }
            let mut field = Self(self.0.split_to(size));
            known(tag, &mut field)?;
        }
        Ok(())
    }
}

/// Writes fields; large records are kept as the pieces they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoder {
    done: Vec<Piece>,
    open: BytesMut,
}

/// Records below this are copied: a piece of their own costs more.
const COPY_BELOW: usize = 1024;

impl Encoder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that was written, in pieces.
    pub fn finish(mut self) -> Vec<Piece> {
        if !self.open.is_empty() {
            self.done.push(self.open.freeze().into());
        }
        self.done
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.open.len() + self.done.iter().map(Piece::len).sum::<usize>()
    }

    /// True if nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        self.open.put_u8(u8::from(value));
    }

    /// 8 bits.
    pub fn i8(&mut self, value: i8) {
        self.open.put_i8(value);
    }

    /// 16 bits.
    pub fn i16(&mut self, value: i16) {
        self.open.put_i16(value);
    }

    /// 16 bits without a sign.
    pub fn u16(&mut self, value: u16) {
        self.open.put_u16(value);
    }

    /// 32 bits.
    pub fn i32(&mut self, value: i32) {
        self.open.put_i32(value);
    }

    /// 32 bits without a sign.
    pub fn u32(&mut self, value: u32) {
        self.open.put_u32(value);
    }

    /// 64 bits.
    pub fn i64(&mut self, value: i64) {
        self.open.put_i64(value);
    }

    /// A fraction.
    pub fn f64(&mut self, value: f64) {
        self.open.put_f64(value);
    }

    /// 16 bytes.
    pub fn uuid(&mut self, value: &[u8; 16]) {
        self.open.put_slice(value);
    }

    /// A number of one to five bytes.
    pub fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.open.put_u8((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.open.put_u8(value as u8);
    }

    fn length(&mut self, length: Option<usize>, flexible: bool, wide: bool) {
        let bounded = length.map(|l| u32::try_from(l).expect("a frame bounds every field"));
        if flexible {
            self.varint(bounded.map_or(0, |l| l + 1));
        } else if wide {
            self.open.put_i32(bounded.map_or(-1, u32::cast_signed));
        } else {
            self.open.put_i16(bounded.map_or(-1, |l| i16::try_from(l).unwrap_or(i16::MAX)));
        }
    }

    /// Text that may be null.
    pub fn nullable_string(&mut self, text: Option<&str>, flexible: bool) {
        // A string of an old version has 15 bits of length: longer ones are messages for people, and are cut.
        let text = text.map(|t| if flexible { t } else { t.get(..i16::MAX as usize).unwrap_or(t) });
        self.length(text.map(str::len), flexible, false);
        self.open.put_slice(text.unwrap_or_default().as_bytes());
    }

    /// Text.
    pub fn string(&mut self, text: &str, flexible: bool) {
        self.nullable_string(Some(text), flexible);
    }

    /// Bytes that may be null.
    pub fn nullable_bytes(&mut self, bytes: Option<&Bytes>, flexible: bool) {
        self.length(bytes.map(Bytes::len), flexible, true);
        if let Some(bytes) = bytes {
            self.open.put_slice(bytes);
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &Bytes, flexible: bool) {
        self.nullable_bytes(Some(bytes), flexible);
    }

    /// Record batches; large pieces leave without a copy.
    pub fn nullable_records(&mut self, records: Option<&Records>, flexible: bool) {
        self.length(records.map(Records::len), flexible, true);
        for piece in records.iter().flat_map(|r| &r.0) {
            self.append(piece);
        }
    }

    fn append(&mut self, piece: &Piece) {
        match piece {
            Piece::Ready(bytes) if bytes.len() < COPY_BELOW => self.open.put_slice(bytes),
            large => {
                self.done.push(self.open.split().freeze().into());
                self.done.push(large.clone());
            }
        }
    }

    /// A list that may be null.
    pub fn nullable_array<T>(
        &mut self,
        list: Option<&[T]>,
        flexible: bool,
        mut element: impl FnMut(&mut Self, &T),
    ) {
        self.length(list.map(<[T]>::len), flexible, true);
        list.unwrap_or_default().iter().for_each(|item| element(self, item));
    }

    /// A list.
    pub fn array<T>(&mut self, list: &[T], flexible: bool, element: impl FnMut(&mut Self, &T)) {
        self.nullable_array(Some(list), flexible, element);
    }

    /// No tagged fields.
    pub fn no_tags(&mut self) {
        self.varint(0);
    }

    /// Tagged fields, in the order of their tags.
    pub fn tags(&mut self, mut tags: Vec<(u32, Self)>) {
        tags.sort_by_key(|(tag, _)| *tag);
        self.varint(u32::try_from(tags.len()).expect("a message has few tags"));
        for (tag, field) in tags {
            self.varint(tag);
            self.varint(u32::try_from(field.len()).expect("a frame bounds every field"));
            field.finish().iter().for_each(|piece| self.append(piece));
        }
    }
}
