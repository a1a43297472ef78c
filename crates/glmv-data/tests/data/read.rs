//! Layouts: what rows become, and what is said of bad ones.

use glmv_data::{Body, Layout, Source, SourceSpec};
use glmv_processor::{ImageSource, Part, Role, VideoSource};
use serde_json::{Value, json};

use crate::support::{Folder, only, problem, sample};

fn parts(body: &Body) -> Vec<(Role, Vec<Part>)> {
    let Body::Chat(conversation) = body else {
        panic!("a dialogue expected");
    };
    let messages = conversation.messages.iter();
    messages.map(|m| (m.role, m.parts.clone())).collect()
}

fn says(text: &str) -> Part {
    Part::Text(text.to_owned())
}

#[test]
fn one_dialogue_in_every_layout_is_the_same_sample() {
    let folder = Folder::new();
    let answer = json!({"role": "assistant", "content": "A cat."});
    let marked = json!({"role": "user", "content": "What <image>is it?"});
    let image = |part: Value| {
        let text = |text: &str| json!({"type": "text", "text": text});
        json!([text("What "), part, text("is it?")])
    };
    let listed = |part: Value| json!({"role": "user", "content": image(part)});
    let rows = [
        json!({"messages": [marked, answer], "images": ["a.png"]}),
        json!({"messages": [listed(json!({"type": "image"})), answer], "images": [{"path": "a.png"}]}),
        json!({"messages": [listed(json!({"type": "image_url", "image_url": {"url": "a.png"}})), answer]}),
        json!({"messages": [listed(json!({"type": "image", "path": "a.png"})), answer], "unknown": 1}),
        json!({"conversations": [{"from": "human", "value": "What <image>is it?"},
            {"from": "gpt", "value": "A cat."}], "image": "a.png"}),
        json!({"prompt": [marked], "completion": [answer], "images": ["a.png"]}),
        json!({"prompt": "What <image>is it?", "completion": "A cat.", "images": ["a.png"]}),
    ];
    let picture = Part::Image(ImageSource::Path(folder.path().join("a.png")));
    let expected = vec![
        (Role::User, vec![says("What "), picture, says("is it?")]),
        (Role::Assistant, vec![says("A cat.")]),
    ];
    for row in rows {
        let sample = sample(&folder, &row);
        assert_eq!(parts(&sample.body), expected, "{row}");
        assert_eq!(sample.targets, [1], "{row}");
        assert_eq!(sample.place.line, 1);
    }
}

#[test]
fn fields_beside_the_dialogue_are_read() {
    let folder = Folder::new();
    let row = json!({
        "messages": [
            {"role": "user", "content": "1"}, {"role": "assistant", "content": "2", "weight": 0},
            {"role": "user", "content": "3"}, {"role": "assistant", "content": "4", "weight": 1},
        ],
        "weight": 0.5, "domain": "math", "thinking": false, "tools": "[{\"name\": \"f\"}]",
    });
    let sample = sample(&folder, &row);
    assert_eq!((sample.targets, sample.weight), (vec![3], 0.5));
    assert_eq!(
        (sample.domain.as_deref(), sample.thinking),
        (Some("math"), Some(false))
    );
    let Body::Chat(conversation) = sample.body else {
        panic!("a dialogue expected");
    };
    assert_eq!(conversation.tools, Some(json!([{"name": "f"}])));
    assert!(conversation.messages.iter().all(|m| m.extra.is_empty()));
}

#[test]
fn share_gpt_knows_systems_calls_and_observations() {
    let folder = Folder::new();
    let row = json!({"system": "Be brief.", "conversations": [
        {"from": "human", "value": "weather?"},
        {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"a\": 1}}"},
        {"from": "observation", "value": "rain"},
        {"from": "gpt", "value": "It rains."},
    ]});
    let sample = sample(&folder, &row);
    let roles: Vec<Role> = parts(&sample.body).iter().map(|(role, _)| *role).collect();
    let expected = [
        Role::System,
        Role::User,
        Role::Assistant,
        Role::Tool,
        Role::Assistant,
    ];
    assert_eq!(roles, expected);
    assert_eq!(sample.targets, [2, 4]);
    let Body::Chat(conversation) = &sample.body else {
        panic!("a dialogue expected");
    };
    let calls = conversation.messages[2]
        .tool_calls
        .as_ref()
        .expect("a call");
    assert_eq!(calls[0]["name"], "f");
}

#[test]
fn running_text_takes_markers_only_beside_media() {
    let folder = Folder::new();
    let plain = sample(&folder, &json!({"text": "an <image> tag"}));
    assert_eq!(plain.body, Body::Text(vec![says("an <image> tag")]));
    let row = json!({"text": "<video>then <image>", "images": ["a.png"], "videos": ["/b.mp4"]});
    let expected = vec![
        Part::Video(VideoSource::Path("/b.mp4".into())),
        says("then "),
        Part::Image(ImageSource::Path(folder.path().join("a.png"))),
    ];
    assert_eq!(sample(&folder, &row).body, Body::Text(expected));
}

#[test]
fn tasks_have_what_a_reward_needs() {
    let folder = Folder::new();
    let row = json!({
        "data_source": "geo", "ability": "math",
        "prompt": [{"role": "user", "content": "<image>How many?"}], "images": [{"path": "a.png"}],
        "reward_model": {"style": "rule", "ground_truth": 43},
        "extra_info": {"index": 7, "difficulty": 0.25, "split": "train"},
    });
    let task = only(&folder.rows("row.jsonl", &[row])).into_task();
    let task = task.expect("a task");
    assert_eq!(task.reference, "43");
    assert_eq!(
        (task.data_source.as_str(), task.id.as_deref()),
        ("geo", Some("7"))
    );
    assert_eq!(
        (task.difficulty, task.style.as_deref()),
        (Some(0.25), Some("rule"))
    );
    assert_eq!(task.domain.as_deref(), Some("math"));
    assert_eq!(task.extra["split"], "train");
    assert_eq!(task.prompt.images().count(), 1);
}

#[test]
fn bad_rows_say_what_is_wrong() {
    let folder = Folder::new();
    let dialogue = |text: &str| json!([{"role": "user", "content": text}, {"role": "assistant", "content": "a"}]);
    let cases = [
        (
            json!({"messages": dialogue("<image>"), "images": ["a", "b"]}),
            "1 `<image>` in the text but 2 in `images`",
        ),
        (
            json!({"messages": dialogue("<image><image>"), "image": "a"}),
            "2 `<image>` in the text but 1 in `image`",
        ),
        (
            json!({"messages": dialogue("<video>")}),
            "1 `<video>` in the text but 0 in `videos`",
        ),
        (
            json!({"messages": dialogue("a"), "images": [3]}),
            "images[0]: expected a path, a data: address, or an object with `path`, `url`, `base64` or `bytes`, found 3",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a"}]}),
            "no assistant turn with loss: nothing to learn from",
        ),
        (
            json!({"messages": [{"role": "robot", "content": "a"}]}),
            "messages[0].role: expected system, user, assistant or tool, found \"robot\"",
        ),
        (
            json!({"messages": [{"role": "user", "content": 1}]}),
            "messages[0].content: expected a string or a list of parts, found 1",
        ),
        (
            json!({"conversations": [{"from": "human"}]}),
            "conversations[0].value: expected a string, found nothing",
        ),
        (
            json!({"messages": dialogue("a"), "weight": -1}),
            "weight: expected a number that is not negative, found -1.0",
        ),
        (
            json!({"messages": dialogue("a"), "thinking": "yes"}),
            "thinking: expected true or false, found \"yes\"",
        ),
        (
            json!({"messages": dialogue("a"), "text": "b"}),
            "ambiguous layout: it could be messages, text; name the layout of this file",
        ),
        (
            json!({"prompt": dialogue("a"), "reward_model": {}, "data_source": "a"}),
            "reward_model.ground_truth: expected the true answer, found nothing",
        ),
        (json!([1]), "row: expected an object, found [1]"),
    ];
    for (row, expected) in cases {
        let path = folder.rows("row.jsonl", std::slice::from_ref(&row));
        if row.is_array() {
            // A file that begins with a bracket is an array of rows.
            let error = Source::open(&SourceSpec::new(&path)).expect_err("no object");
            assert!(
                error
                    .to_string()
                    .ends_with("row: expected an object, found 1"),
                "{error}"
            );
        } else {
            assert_eq!(problem(&folder, &row), expected);
        }
    }
    let unknown = problem(&folder, &json!({"instruction": "a", "output": "b"}));
    assert!(
        unknown.starts_with("unknown layout: keys instruction, output; expected"),
        "{unknown}"
    );
}

#[test]
fn a_named_layout_settles_what_is_ambiguous() {
    let folder = Folder::new();
    let answer = json!([{"role": "assistant", "content": "a"}]);
    let path = folder.rows("a.jsonl", &[json!({"messages": answer, "text": "b"})]);
    let mut spec = SourceSpec::new(&path);
    spec.layout = Some(Layout::Text);
    let mut source = Source::open(&spec).expect("opens");
    let record = source.read(0).expect("a good row").into_sample();
    assert_eq!(record.expect("a sample").body, Body::Text(vec![says("b")]));
}

#[test]
fn errors_name_the_line_in_lines_and_in_arrays() {
    let folder = Folder::new();
    let lines = folder.text("a.jsonl", "{\"text\": \"a\"}\n\n{\"text\": 5}\n{\"text\"\n");
    let mut source = Source::open(&SourceSpec::new(&lines)).expect("opens");
    let mut said = |row: u32| source.read(row).expect_err("a bad row").to_string();
    assert!(said(1).ends_with("a.jsonl:3: text: expected a string, found 5"));
    assert!(said(2).contains("a.jsonl:4: not valid JSON: EOF"));
    let array = folder.text("a.json", "[\n  {\"text\": \"a\"},\n  {\"text\": 5}\n]");
    let mut source = Source::open(&SourceSpec::new(&array)).expect("opens");
    let error = source.read(1).expect_err("a bad row").to_string();
    assert!(
        error.ends_with("a.json:3: text: expected a string, found 5"),
        "{error}"
    );
    let empty = folder.text("empty.jsonl", "\n");
    let error = Source::open(&SourceSpec::new(&empty))
        .expect_err("no rows")
        .to_string();
    assert!(error.ends_with("empty.jsonl has no rows"), "{error}");
}
