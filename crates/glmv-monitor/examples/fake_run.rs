//! A run that learns nothing: shows what a run looks like, in the terminal and as a report.
//!
//! `cargo run -p glmv-monitor --example fake_run -- DIR`

use std::path::Path;
use std::time::Duration;

use glmv_monitor::{
    Completion, Level, Monitor, MonitorConfig, Picture, RolloutGroup, Sample, Values,
};

const STEPS: u64 = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("a folder is needed")?;
    let config = MonitorConfig {
        title: "fake run: a policy that counts squares".to_owned(),
        recipe: "[rl]\ngroup_size = 4\ntemperature = 1.0\n".to_owned(),
        total_steps: Some(STEPS),
        ..MonitorConfig::default()
    };
    let mut monitor = Monitor::open(Path::new(&dir), config)?;
    for step in 1..=STEPS {
        for done in 0..=4 {
            monitor.phase("rollout", done * 16, 64);
            std::thread::sleep(Duration::from_millis(4));
        }
        monitor.step(step, &values(step))?;
        if step % 60 == 0 {
            monitor.rollouts(step, &[group(step)?])?;
            monitor.sample(
                step,
                &Sample {
                    name: "eval/0".to_owned(),
                    prompt: "What is in the picture?".to_owned(),
                    text: "<think>Squares.</think>Three red squares. 三个红色方块。".to_owned(),
                    picture: None,
                },
            )?;
            monitor.note(step, Level::Warn, "watch: `count` has become longer")?;
        }
    }
    println!("report: {}", monitor.finish()?.display());
    Ok(())
}

fn values(step: u64) -> Values {
    let progress = step as f64 / STEPS as f64;
    let noise = |scale: f64| scale * (step as f64 * 12.9898).sin() * (step as f64 * 4.1).cos();
    let gap = if step == 60 { f64::NAN } else { 0.0 };
    let mut values = Values::new();
    values.set(
        "loss/train",
        3.0 * (-4.0 * progress).exp() + noise(0.2) + gap,
    );
    values.set("reward/mean", 0.1 + 0.8 * progress + noise(0.05));
    values.set("rate/tokens_per_sec", 1000.0 + noise(90.0));
    values.set("memory/bytes", 2.1e9 + 1e6 * step as f64);
    for (domain, speed) in [("count", 1.2), ("colour", 0.9), ("ocr", 0.6)] {
        values.set_in(
            &["domains", domain, "reward"],
            (progress * speed).min(0.95) + noise(0.04),
        );
    }
    values
        .set("time/rollout", 6.0 + 3.0 * progress)
        .set("time/reward", 0.5)
        .set("time/train", 3.0);
    let lengths: Vec<f64> = (1..50)
        .map(|index| f64::from(index) * (2.0 + progress))
        .collect();
    values.set_quantiles("rollout/length", &lengths);
    let (easy, hard) = (0.2 + 0.5 * progress, 0.4 * (1.0 - progress));
    values.counts(
        "curriculum/tiers",
        [
            ("hard", hard),
            ("middle", 1.0 - easy - hard),
            ("easy", easy),
        ],
    );
    values
}

fn group(step: u64) -> Result<RolloutGroup, glmv_monitor::Error> {
    let is_red = |index: u32| index % 160 % 54 < 36 && index / 160 % 54 < 36;
    let pixel = |index| {
        if is_red(index) {
            [220, 40, 40]
        } else {
            [245; 3]
        }
    };
    let pixels: Vec<u8> = (0..160 * 160).flat_map(pixel).collect();
    let completion = |index: u64| Completion {
        text: format!(
            "<think>One, two, <b>three</b>?</think>There are {}.",
            8 + index % 2
        ),
        num_tokens: 20 + index,
        reward: Some((index % 2) as f64),
        parts: vec![
            ("accuracy".to_owned(), (index % 2) as f64),
            ("format".to_owned(), 1.0),
        ],
        advantage: Some((index % 2) as f64 * 2.0 - 1.0),
        flags: if index == 2 {
            vec!["truncated".to_owned()]
        } else {
            Vec::new()
        },
        replay_id: Some(format!("8f3a-{step}-{index}")),
    };
    Ok(RolloutGroup {
        domain: "count".to_owned(),
        tier: Some("middle".to_owned()),
        prompt: "How many squares are there?".to_owned(),
        pictures: vec![Picture::from_rgb8(160, 160, &pixels)?],
        truth: Some("9".to_owned()),
        completions: (0..4).map(completion).collect(),
    })
}
