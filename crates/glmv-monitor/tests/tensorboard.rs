//! Event files against a decoder of their own.

use std::path::Path;

use glmv_monitor::EventWriter;

/// CRC-32C bit by bit, masked.
fn masked_crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A field of a message.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Number(u64),
    Double(f64),
    Float(f32),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Field)>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => Field::Double(f64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                Field::Bytes(take(&mut bytes, len)?.to_vec())
            }
            5 => Field::Float(f32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?)),
            _ => return None,
        };
        found.push((key >> 3, field));
    }
    Some(found)
}

/// The messages of a file; `None` where a checksum or a length is wrong.
fn records(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let head = take(&mut bytes, 8)?;
        let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
        if number(take(&mut bytes, 4)?)? != masked_crc(head) {
            return None;
        }
        let len = usize::try_from(u64::from_le_bytes(head.try_into().ok()?)).ok()?;
        let message = take(&mut bytes, len)?;
        if number(take(&mut bytes, 4)?)? != masked_crc(message) {
            return None;
        }
        found.push(message.to_vec());
    }
    Some(found)
}

fn message(bytes: &Field) -> Vec<(u64, Field)> {
    match bytes {
        Field::Bytes(bytes) => fields(bytes).expect("a message"),
        other => panic!("{other:?} is no message"),
    }
}

fn get(message: &[(u64, Field)], number: u64) -> Field {
    let found = message.iter().find(|(found, _)| *found == number);
    found
        .unwrap_or_else(|| panic!("no field {number}"))
        .1
        .clone()
}

fn events(path: &Path) -> Vec<Vec<(u64, Field)>> {
    let bytes = std::fs::read(path).expect("readable");
    let records = records(&bytes).expect("whole records");
    let events = records
        .iter()
        .map(|record| fields(record).expect("a message"));
    events.collect()
}

#[test]
fn what_was_written_is_read_back() {
    let dir = tempfile::tempdir().expect("writable");
    let mut writer = EventWriter::create(dir.path(), None).expect("writable");
    let values = [("loss/train", 0.5), ("bad", f64::NAN)];
    writer.scalars(300, values).expect("writable");
    writer
        .text(300, "sample/0", "two\nlines")
        .expect("writable");
    let events = events(writer.path());
    assert_eq!(events.len(), 3);
    assert_eq!(get(&events[0], 3), Field::Bytes(b"brain.Event:2".to_vec()));
    let Field::Double(time) = get(&events[1], 1) else {
        panic!("no wall time")
    };
    assert!(time > 1.7e9);
    assert_eq!(get(&events[1], 2), Field::Number(300));
    let values: Vec<_> = message(&get(&events[1], 5))
        .iter()
        .map(|v| message(&v.1))
        .collect();
    assert_eq!(get(&values[0], 1), Field::Bytes(b"loss/train".to_vec()));
    assert_eq!(get(&values[0], 2), Field::Float(0.5));
    assert!(matches!(get(&values[1], 2), Field::Float(value) if value.is_nan()));

    let value = message(&get(&message(&get(&events[2], 5)), 1));
    assert_eq!(get(&value, 1), Field::Bytes(b"sample/0".to_vec()));
    let tensor = message(&get(&value, 8));
    assert_eq!(get(&tensor, 1), Field::Number(7));
    assert_eq!(
        get(&tensor, 8),
        Field::Bytes(b"    two\n    lines\n".to_vec())
    );
    let plugin = message(&get(&message(&get(&value, 9)), 1));
    assert_eq!(get(&plugin, 1), Field::Bytes(b"text".to_vec()));
}

#[test]
fn a_resumed_run_says_from_where() {
    let dir = tempfile::tempdir().expect("writable");
    let first = EventWriter::create(dir.path(), None).expect("writable");
    let second = EventWriter::create(dir.path(), Some(5)).expect("writable");
    assert_ne!(first.path(), second.path());
    let events = events(second.path());
    assert_eq!(get(&events[1], 2), Field::Number(6));
    assert_eq!(get(&message(&get(&events[1], 7)), 1), Field::Number(1));
}

#[test]
fn the_decoder_sees_damage() {
    let dir = tempfile::tempdir().expect("writable");
    let mut writer = EventWriter::create(dir.path(), None).expect("writable");
    writer.scalars(1, [("loss", 0.5)]).expect("writable");
    let good = std::fs::read(writer.path()).expect("readable");
    assert!(records(&good).is_some());
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        assert_eq!(records(&bad), None, "byte {index}");
    }
}
