//! A run that learns nothing: shows what a run looks like, in the terminal and as a report.
//!
//! `cargo run -p glmv-monitor --example fake_run -- DIR [STEPS] [MILLISECONDS PER STEP]`

use std::path::Path;
use std::time::Duration;

use glmv_monitor::{
    Completion, Display, Level, Monitor, MonitorConfig, Picture, RolloutGroup, Sample, Values,
};

/// Numbers in 0..1 that look random.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dir = Path::new(args.first().ok_or("a folder is needed")?);
    let steps = args.get(1).map_or(Ok(200), |text| text.parse())?;
    let pause = Duration::from_millis(args.get(2).map_or(Ok(20), |text| text.parse())?);
    let config = MonitorConfig {
        title: "fake run: a policy that counts squares".to_owned(),
        recipe: "[rl]\ngroup_size = 8\ntemperature = 1.0\n".to_owned(),
        total_steps: Some(steps),
        display: Display::Auto,
        ..MonitorConfig::default()
    };
    let mut monitor = Monitor::open(dir, config)?;
    let mut noise = Noise(7);
    for step in 1..=steps {
        for done in 0..=4 {
            monitor.phase("rollout", done * 16, 64)?;
            std::thread::sleep(pause / 5);
        }
        let progress = step as f64 / steps as f64;
        monitor.step(step, &values(step, progress, &mut noise))?;
        if step % 40 == 0 {
            monitor.rollouts(step, &[group(progress, &mut noise)?])?;
            monitor.sample(step, &sample())?;
        }
        if step == steps / 2 {
            monitor.note(step, Level::Warn, "watch: length of `count` jumped by 2.1")?;
        }
    }
    println!("report: {}", monitor.finish()?.display());
    Ok(())
}

fn values(step: u64, progress: f64, noise: &mut Noise) -> Values {
    let mut values = Values::new();
    let bump = if step == 60 { f64::NAN } else { 0.0 };
    values.set(
        "loss/train",
        3.0 * (-4.0 * progress).exp() + 0.3 * noise.next() + bump,
    );
    values.set("reward/mean", 0.2 + 0.7 * progress + 0.1 * noise.next());
    values.set("rate/tokens_per_sec", 900.0 + 200.0 * noise.next());
    values.set("memory/bytes", 2.1e9 + 1e6 * step as f64);
    values.set("policy/entropy", 1.5 - progress + 0.1 * noise.next());
    values.set("policy/clip_high", 0.02 * noise.next());
    for (index, domain) in ["count", "colour", "ocr"].into_iter().enumerate() {
        let reward = (progress * (1.4 - 0.3 * index as f64)).min(0.95) + 0.05 * noise.next();
        values.set_in(&["domains", domain, "reward"], reward);
        values.set_in(
            &["domains", domain, "response_length"],
            80.0 + 300.0 * progress * noise.next(),
        );
    }
    for (name, secs) in [
        ("rollout", 6.0 + 3.0 * progress),
        ("reward", 0.4),
        ("train", 3.0),
    ] {
        values.set(&format!("time/{name}"), secs + noise.next());
    }
    let easy = 40.0 + 160.0 * progress;
    let hard = 90.0 * (1.0 - progress);
    values.counts(
        "curriculum/tiers",
        [
            ("hard", hard),
            ("middle", 220.0 - easy - hard + 90.0),
            ("easy", easy),
        ],
    );
    values.counts(
        "curriculum/weights",
        [
            ("hard", 0.2 + 0.2 * progress),
            ("middle", 0.6),
            ("easy", 0.2 - 0.15 * progress),
        ],
    );
    values
}

fn sample() -> Sample {
    Sample {
        name: "eval/0".to_owned(),
        prompt: "What is in the picture?".to_owned(),
        text: "<think>I see squares.</think>Three red squares on white. 三个红色方块。".to_owned(),
        picture: None,
    }
}

fn group(progress: f64, noise: &mut Noise) -> Result<RolloutGroup, glmv_monitor::Error> {
    let mut pixels = vec![245; 160 * 160 * 3];
    for square in 0..3 {
        for y in 20..60 {
            for x in 15 + square * 48..50 + square * 48 {
                pixels[(y * 160 + x) * 3 + 1] = 40;
                pixels[(y * 160 + x) * 3 + 2] = 40;
            }
        }
    }
    let completion = |index: u32| {
        let is_right = noise.next() < progress;
        let answer = if is_right { 3 } else { index + 4 };
        Completion {
            text: format!("<think>One, two, <b>three</b>?</think>There are {answer}."),
            num_tokens: 20 + u64::from(index),
            reward: Some(f64::from(u8::from(is_right))),
            parts: vec![
                ("accuracy".to_owned(), f64::from(u8::from(is_right))),
                ("format".to_owned(), 1.0),
            ],
            advantage: Some(if is_right { 0.7 } else { -1.2 }),
            flags: if index == 2 {
                vec!["truncated".to_owned()]
            } else {
                Vec::new()
            },
            replay_id: Some(format!("8f3a-{index}")),
        }
    };
    Ok(RolloutGroup {
        domain: "count".to_owned(),
        tier: Some("middle".to_owned()),
        prompt: "How many squares are there?".to_owned(),
        pictures: vec![Picture::from_rgb8(160, 160, &pixels)?],
        truth: Some("3".to_owned()),
        completions: (0..8).map(completion).collect(),
    })
}
