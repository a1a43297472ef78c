//! The wire format of protobuf, as far as events need it.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

/// Kinds of fields on the wire.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

impl Message {
    /// The message's bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A whole number.
    pub(super) fn varint(mut self, field: u32, value: u64) -> Self {
        self.key(field, Wire::Varint);
        self.push_varint(value);
        self
    }

    /// A `double`.
    pub(super) fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, Wire::Fixed64);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// A `float`.
    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, Wire::Fixed32);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// A `string` or `bytes`.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, Wire::Bytes);
        self.push_varint(value.len() as u64);
        self.bytes.extend(value);
        self
    }

    /// A message within this one.
    pub(super) fn message(self, field: u32, value: Self) -> Self {
        self.bytes(field, &value.bytes)
    }

    fn key(&mut self, field: u32, wire: Wire) {
        self.push_varint(u64::from(field << 3 | wire as u32));
    }

    /// Seven bits per byte, lowest first; the high bit says that more follow.
    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_the_encoding_guide_has_them() {
        let message = Message::default().varint(1, 150);
        assert_eq!(message.into_bytes(), [0x08, 0x96, 0x01]);
        let message = Message::default().bytes(2, b"testing");
        assert_eq!(message.into_bytes(), b"\x12\x07testing");
        let inner = Message::default().varint(1, 150);
        let message = Message::default().message(3, inner);
        assert_eq!(message.into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let message = Message::default().float(2, 1.0).double(1, 1.0).into_bytes();
        assert_eq!(
            message,
            [0x15, 0, 0, 0x80, 0x3f, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]
        );
        let message = Message::default().varint(2, u64::MAX).into_bytes();
        assert_eq!((message.len(), message[10]), (11, 1));
    }
}
