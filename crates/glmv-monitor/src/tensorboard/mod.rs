//! TensorBoard event files: records of framed protobuf messages.
//!
//! Source: TensorFlow `core/lib/io/record_writer.h` (framing), `core/util/event.proto`,
//! `core/framework/{summary,tensor,tensor_shape}.proto` (messages).

mod crc32c;
mod event;
mod proto;
mod record;
mod writer;

pub use writer::EventWriter;
