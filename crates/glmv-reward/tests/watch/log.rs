//! Synthetic training logs.

use serde_json::{Value, json};

/// SplitMix64 and normal deviates of it.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// What a run is like at a step, without noise.
#[derive(Clone, Copy)]
pub struct Truth {
    pub reward: f64,
    pub held_out: f64,
    pub length: f64,
    pub repetition: f64,
    pub format: f64,
    pub entropy: f64,
    /// Share of the rewarded answers that are the hack.
    pub hack_share: f64,
}

/// A run that learns: reward and accuracy saturate, answers grow longer, entropy falls slowly.
pub fn learning(step: u64) -> Truth {
    let progress = 1.0 - (-(step as f64) / 150.0).exp();
    Truth {
        reward: 0.3 + 0.4 * progress,
        held_out: 0.25 + 0.24 * progress,
        length: 600.0 * (1.0 + 0.8 * progress),
        repetition: 0.01,
        format: 0.9 + 0.08 * progress,
        entropy: 0.9 - 0.5 * progress,
        hack_share: 0.0,
    }
}

/// How a run is logged.
#[derive(Clone, Copy)]
pub struct Style {
    /// Correlation of the noise with that of the step before.
    pub correlation: f64,
    /// Factor on all noise.
    pub noise: f64,
    /// Steps between two held-out values.
    pub held_out_every: u64,
    pub steps: u64,
    /// Sample answers per step.
    pub samples: usize,
}

pub const PLAIN: Style = Style {
    correlation: 0.0,
    noise: 1.0,
    held_out_every: 1,
    steps: 400,
    samples: 0,
};

/// The log of domain `counting`.
pub fn log(seed: u64, style: Style, truth: impl Fn(u64) -> Truth) -> String {
    let mut noise = Noise::new(seed);
    let mut carried = [0.0; 6];
    let mut text = String::new();
    for step in 0..style.steps {
        let truth = truth(step);
        for value in &mut carried {
            let fresh = noise.normal() * (1.0 - style.correlation.powi(2)).sqrt();
            *value = style.correlation * *value + fresh;
        }
        let e = carried.map(|value| value * style.noise);
        let share = |x: f64| x.clamp(0.0, 1.0);
        let mut domain = json!({
            "reward": share(truth.reward + 0.03 * e[0]),
            "response_length": truth.length * (0.05 * e[2]).exp(),
            "repetition_rate": share(truth.repetition + 0.004 * e[3]),
            "format_rate": share(truth.format + 0.01 * e[4]),
            "entropy": truth.entropy * (0.03 * e[5]).exp(),
            "samples": (0..style.samples).map(|_| answer(&mut noise, &truth)).collect::<Vec<_>>(),
        });
        if step % style.held_out_every == 0 {
            domain["held_out_accuracy"] = json!(share(truth.held_out + 0.02 * e[1]));
        }
        text.push_str(&json!({"step": step, "domains": {"counting": domain}}).to_string());
        text.push('\n');
    }
    text
}

fn answer(noise: &mut Noise, truth: &Truth) -> Value {
    if noise.uniform() < truth.hack_share {
        return json!({"answer": "A correct number between 0 and 10", "reward": 1.0, "id": "hack"});
    }
    let count = (noise.uniform() * 20.0).floor();
    let answer = match noise.uniform() {
        x if x < 0.6 => format!("{count}"),
        x if x < 0.8 => format!("There are {count} apples."),
        _ => format!("{count} red ones"),
    };
    let reward = f64::from(u8::from(noise.uniform() < truth.reward));
    json!({"answer": answer, "reward": reward})
}
