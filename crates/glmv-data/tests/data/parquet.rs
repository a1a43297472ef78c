//! Parquet in verl's schema: the same tasks as from JSON, pictures from binary columns.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use glmv_data::{Layout, ParquetRows};
use glmv_processor::ImageSource;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::support::{Folder, MOE, encoder};

const SCHEMA: &str = "message schema {
    required binary data_source (UTF8);
    optional group prompt (LIST) { repeated group list { optional group element {
        optional binary role (UTF8); optional binary content (UTF8); } } }
    optional group reward_model { optional binary ground_truth (UTF8); }
    optional group images (LIST) { repeated group list { optional group element {
        optional binary bytes; optional binary path (UTF8); } } }
}";

/// Values of one column with their definition and repetition levels, two rows each.
type Column<'a> = (Vec<&'a [u8]>, Vec<i16>, Vec<i16>);

fn write(path: &Path, columns: &[Column], codec: parquet::basic::Compression) {
    let schema = Arc::new(parse_message_type(SCHEMA).expect("a schema"));
    let properties = WriterProperties::builder().set_compression(codec).build();
    let file = File::create(path).expect("writable");
    let writer = SerializedFileWriter::new(file, schema, Arc::new(properties));
    let mut writer = writer.expect("a writer");
    let mut group = writer.next_row_group().expect("a group");
    for (values, definitions, repetitions) in columns {
        let values: Vec<ByteArray> = values.iter().map(|v| ByteArray::from(v.to_vec())).collect();
        let mut column = group.next_column().expect("readable").expect("a column");
        let typed = column.typed::<ByteArrayType>();
        let levels = (Some(&definitions[..]), Some(&repetitions[..]));
        typed
            .write_batch(&values, levels.0, levels.1)
            .expect("writes");
        column.close().expect("closes");
    }
    group.close().expect("closes");
    writer.close().expect("closes");
}

#[test]
fn tasks_come_from_parquet_as_from_json() {
    let folder = Folder::new();
    let picture = std::fs::read(folder.picture("a.png", 60, 60, 10)).expect("readable");
    // Row 1 has a picture in the file; row 2 lacks its ground truth.
    let columns: [Column; 6] = [
        (vec![b"geo", b"geo"], vec![0, 0], vec![0, 0]),
        (vec![b"user", b"user"], vec![4, 4], vec![0, 0]),
        (
            vec![b"<image>How many?", b"How many?"],
            vec![4, 4],
            vec![0, 0],
        ),
        (vec![b"3"], vec![2, 1], vec![0, 0]),
        (vec![&picture], vec![4, 0], vec![0, 0]),
        (vec![], vec![3, 0], vec![0, 0]),
    ];
    let codecs = [
        parquet::basic::Compression::UNCOMPRESSED,
        parquet::basic::Compression::SNAPPY,
        parquet::basic::Compression::GZIP(parquet::basic::GzipLevel::default()),
    ];
    for codec in codecs {
        let path = folder.path().join("tasks.parquet");
        write(&path, &columns, codec);
        let mut rows = ParquetRows::open(&path, None).expect("opens");
        let task = rows.next().expect("a row").expect("a good row").into_task();
        let task = task.expect("a task");
        assert_eq!(
            (task.data_source.as_str(), task.reference.as_str()),
            ("geo", "3")
        );
        let images: Vec<&ImageSource> = task.prompt.images().collect();
        assert_eq!(images, [&ImageSource::Bytes(picture.clone())]);
        let encoded = encoder(MOE).encode_task(&task).expect("encodes");
        assert_eq!(encoded.visuals[0].source_size, Some([60, 60]));
        let error = rows.next().expect("a row").expect_err("bad").to_string();
        let expected =
            "tasks.parquet:2: reward_model.ground_truth: expected the true answer, found nothing";
        assert!(error.ends_with(expected), "{error}");
        assert!(rows.next().is_none());
    }
}

#[test]
fn files_that_are_no_parquet_are_errors() {
    let folder = Folder::new();
    let path = folder.text("a.parquet", "{\"text\": \"a\"}");
    let error = ParquetRows::open(&path, Some(Layout::Task))
        .err()
        .expect("no parquet");
    assert!(error.to_string().contains("a.parquet: "), "{error}");
    assert!(ParquetRows::open(&folder.path().join("none"), None).is_err());
}
