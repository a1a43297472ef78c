//! Letters in a secret code, the longer the harder: `Code: c a k`, answered `M B D`. A code of n letters is
//! right by the n-th power of the chance of one, so that short ones are within reach of a model that half
//! knows the letters and long ones are not, until the short ones are learnt.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::pictures::text;

/// Files that [`write`] makes.
pub(super) const LESSONS: &str = "lessons.jsonl";
pub(super) const TASKS: &str = "tasks.jsonl";
pub(super) const HELD_OUT: &str = "held-out.jsonl";
pub(super) const REWARDS: &str = "reward.toml";

/// Letters that are asked, and those that are answered.
const ASKED: &[u8] = b"abcdefghijkm";
const ANSWERED: &[u8] = b"ABCDEFGHIJKM";
/// Of a hundred letters of a lesson: right ones, and always the same wrong one.
const RIGHT: u32 = 50;
const WRONG: u32 = 40;
/// Lengths of the tasks and how many there are of each; a model of the lessons can do the first few.
const LENGTHS: [(usize, usize); 9] = [
    (1, 80),
    (2, 160),
    (3, 240),
    (4, 240),
    (5, 240),
    (6, 240),
    (8, 1000),
    (10, 900),
    (12, 900),
];

/// Lessons of a noisy teacher, tasks, held-out tasks of one to eight letters, and how they are judged; the
/// same on every machine.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write(folder: &Path) -> Result<()> {
    let code = Code::new();
    let mut random = Random(1);
    let lessons = (0..6000).map(|_| {
        let length = 1 + random.below(12);
        code.lesson(&random.letters(length), &mut random)
    });
    let lessons: Vec<Value> = lessons.collect();
    let mut lengths: Vec<usize> = LENGTHS.iter().flat_map(|(n, k)| vec![*n; *k]).collect();
    random.shuffle(&mut lengths);
    let mut task = |name: &str, at: usize, length: usize| {
        code.task(&format!("{name}{at}"), &random.letters(length))
    };
    let tasks = lengths.iter().enumerate();
    let tasks: Vec<Value> = tasks.map(|(at, n)| task("t", at, *n)).collect();
    let held_out: Vec<Value> = (0..200).map(|at| task("h", at, 1 + at % 8)).collect();
    for (name, rows) in [(LESSONS, lessons), (TASKS, tasks), (HELD_OUT, held_out)] {
        let mut lines = String::new();
        for row in rows {
            let _ = writeln!(lines, "{row}");
        }
        let path = folder.join(name);
        std::fs::write(&path, lines).with_context(|| text(&path))?;
    }
    let path = folder.join(REWARDS);
    let rewards = "[sources.code]\ndomain = \"closed\"\n";
    std::fs::write(&path, rewards).with_context(|| text(&path))
}

/// What stands for each letter, and what the teacher mistakes it for.
struct Code {
    right: Vec<u8>,
    wrong: Vec<u8>,
}

impl Code {
    fn new() -> Self {
        let mut random = Random(2);
        let mut right = ANSWERED.to_vec();
        random.shuffle(&mut right);
        // Another letter's, so that it is never right.
        let wrong = (0..right.len()).map(|i| {
            let step = 1 + random.below(right.len() - 1);
            right[(i + step) % right.len()]
        });
        let wrong = wrong.collect();
        Code { right, wrong }
    }

    fn lesson(&self, letters: &[usize], random: &mut Random) -> Value {
        let told = letters.iter().map(|letter| {
            let draw = random.below(100) as u32;
            match draw {
                _ if draw < RIGHT => self.right[*letter],
                _ if draw < RIGHT + WRONG => self.wrong[*letter],
                _ => ANSWERED[random.below(ANSWERED.len())],
            }
        });
        let told = spaced(told);
        json!({
            "messages": [
                { "role": "user", "content": format!("{}/nothink", question(letters)) },
                {
                    "role": "assistant",
                    "content": format!("<think></think><|begin_of_box|>{told}<|end_of_box|>"),
                },
            ],
            "thinking": false,
        })
    }

    fn task(&self, id: &str, letters: &[usize]) -> Value {
        json!({
            "data_source": "code",
            "ability": "code",
            "prompt": [{ "role": "user", "content": question(letters) }],
            "reward_model": {
                "style": "rule",
                "ground_truth": spaced(letters.iter().map(|letter| self.right[*letter])),
            },
            "extra_info": { "id": id },
        })
    }
}

fn question(letters: &[usize]) -> String {
    format!("Code: {}", spaced(letters.iter().map(|l| ASKED[*l])))
}

fn spaced(letters: impl Iterator<Item = u8>) -> String {
    let letters: Vec<String> = letters.map(|l| char::from(l).to_string()).collect();
    letters.join(" ")
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % count as u64) as usize
    }

    fn letters(&mut self, length: usize) -> Vec<usize> {
        (0..length).map(|_| self.below(ASKED.len())).collect()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    #[test]
    fn the_teacher_is_right_as_often_as_told() {
        let (code, mut random) = (Code::new(), Random(3));
        let clash = code.right.iter().zip(&code.wrong);
        assert!(clash.into_iter().all(|(right, wrong)| right != wrong));
        let (mut right, mut wrong) = (0, 0);
        for _ in 0..2000 {
            let letter = random.below(ASKED.len());
            let row = code.lesson(&[letter], &mut random);
            let told = row["messages"][1]["content"].as_str().expect("text");
            let boxed = |c: u8| told.contains(&format!("|>{}<|", char::from(c)));
            right += u32::from(boxed(code.right[letter]));
            wrong += u32::from(boxed(code.wrong[letter]));
        }
        assert!((980..1080).contains(&right), "{right} of 2000");
        assert!((780..880).contains(&wrong), "{wrong} of 2000");
    }

    #[test]
    fn files_are_the_same_every_time() {
        let dir = shell::temp_dir("code-test").expect("writable");
        write(&dir).expect("written");
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect(name);
        let first = [LESSONS, TASKS, HELD_OUT].map(read);
        write(&dir).expect("written again");
        assert_eq!(first, [LESSONS, TASKS, HELD_OUT].map(read));
        assert_eq!(
            first.each_ref().map(|f| f.lines().count()),
            [6000, 4000, 200]
        );
        assert_ne!(first[1], first[2]);
        std::fs::remove_dir_all(&dir).expect("there");
    }
}
