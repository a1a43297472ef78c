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

#[cfg(test)]
mod tests {
    use super::super::record::frame;
    use super::*;

    fn hex(message: &[u8]) -> String {
        frame(message)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The records are those that TensorBoard 2.21's own messages and `RecordWriter` make.
    #[test]
    fn records_are_those_of_tensorboard() {
        let expected = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a32\
                        2a28646c";
        assert_eq!(hex(&version(1.5)), expected);
        let expected = "0f000000000000006d532b0909000000000000f83f10063a0208019517399e";
        assert_eq!(hex(&start(1.5, 6)), expected);
        let expected = "2d000000000000003c418afb09000000000000f83f10ac022a1f0a110a0a6c6f73732f74\
                        7261696e150000003f0a0a0a03696e66150000807f23362f00";
        let values = [("loss/train", 0.5), ("inf", f64::INFINITY)];
        assert_eq!(hex(&scalars(1.5, 300, values)), expected);
        assert_ne!(hex(&scalars(1.5, 301, values)), expected);
        let expected = "2d000000000000003c418afb09000000000000f83f10012a200a1e0a046e6f7465420c08\
                        07120412020801420268694a080a060a0474657874a4656a1d";
        assert_eq!(hex(&text(1.5, 1, "note", "hi")), expected);
    }
}
