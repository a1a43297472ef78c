//! The messages `Event` and `Summary`.

use super::proto::Message;

/// `DT_STRING` of `DataType`.
const STRING: u64 = 7;
/// `START` of `SessionLog.SessionStatus`.
const START: u64 = 1;

/// What the first event of a file says.
pub(super) fn version(wall_time: f64) -> Vec<u8> {
    let event = Message::default().double(1, wall_time);
    event.bytes(3, b"brain.Event:2").into_bytes()
}

/// A session that starts at `step`: what other files have from there on is outdated.
pub(super) fn start(wall_time: f64, step: u64) -> Vec<u8> {
    let log = Message::default().varint(1, START);
    event(wall_time, step).message(7, log).into_bytes()
}

/// Numbers of a step.
pub(super) fn scalars<'a>(
    wall_time: f64,
    step: u64,
    values: impl IntoIterator<Item = (&'a str, f64)>,
) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, number) in values {
        // The format has 32 bits for it.
        let value = Message::default()
            .bytes(1, tag.as_bytes())
            .float(2, number as f32);
        summary = summary.message(1, value);
    }
    event(wall_time, step).message(5, summary).into_bytes()
}

/// A text of a step; TensorBoard shows it as Markdown.
pub(super) fn text(wall_time: f64, step: u64, tag: &str, text: &str) -> Vec<u8> {
    let dimension = Message::default().varint(1, 1);
    let shape = Message::default().message(2, dimension);
    let tensor = Message::default().varint(1, STRING).message(2, shape);
    let tensor = tensor.bytes(8, text.as_bytes());
    let plugin = Message::default().bytes(1, b"text");
    let metadata = Message::default().message(1, plugin);
    let value = Message::default().bytes(1, tag.as_bytes());
    let value = value.message(8, tensor).message(9, metadata);
    let summary = Message::default().message(1, value);
    event(wall_time, step).message(5, summary).into_bytes()
}

fn event(wall_time: f64, step: u64) -> Message {
    Message::default().double(1, wall_time).varint(2, step)
}
