use super::*;

fn params() -> SamplingParams {
    SamplingParams {
        temperature: 0.8,
        ..Default::default()
    }
}

const RELEASED: &str = r#"{"_from_model_config": true, "do_sample": true, "eos_token_id": [446, 453, 455],
    "pad_token_id": 446, "temperature": 0.8, "top_k": 2, "top_p": 0.6, "transformers_version": "x"}"#;

#[test]
fn each_bad_value_is_named() {
    let cases: Vec<(&str, SamplingParams)> = vec![
        (
            "max_new_tokens",
            SamplingParams {
                max_new_tokens: 0,
                ..params()
            },
        ),
        (
            "temperature",
            SamplingParams {
                temperature: -0.1,
                ..params()
            },
        ),
        (
            "temperature",
            SamplingParams {
                temperature: f32::NAN,
                ..params()
            },
        ),
        (
            "temperature",
            SamplingParams {
                temperature: f32::INFINITY,
                ..params()
            },
        ),
        (
            "top_k",
            SamplingParams {
                top_k: Some(0),
                ..params()
            },
        ),
        (
            "top_p",
            SamplingParams {
                top_p: Some(1.1),
                ..params()
            },
        ),
        (
            "top_p",
            SamplingParams {
                top_p: Some(f32::NAN),
                ..params()
            },
        ),
        (
            "min_p",
            SamplingParams {
                min_p: Some(-0.1),
                ..params()
            },
        ),
        (
            "repetition_penalty",
            SamplingParams {
                repetition_penalty: 0.0,
                ..params()
            },
        ),
        (
            "repetition_penalty",
            SamplingParams {
                repetition_penalty: f32::NAN,
                ..params()
            },
        ),
    ];
    for (name, bad) in cases {
        let message = bad.validate().expect_err(name).to_string();
        assert!(message.starts_with(name), "{message}");
    }
    params().validate().expect("defaults are fine");
    let edges = SamplingParams {
        top_p: Some(0.0),
        min_p: Some(1.0),
        top_k: Some(1),
        ..params()
    };
    edges.validate().expect("edges are allowed");
}

#[test]
fn released_file_gives_released_values() {
    let file = GenerationConfig::from_json(RELEASED).expect("valid");
    let merged = SamplingParams::merge(&file, &SamplingOverrides::default()).expect("valid");
    let want = SamplingParams {
        temperature: 0.8,
        top_k: Some(2),
        top_p: Some(0.6),
        stop_ids: vec![446, 453, 455],
        ..Default::default()
    };
    assert_eq!(merged, want);
    assert!(merged.stops_at(453) && !merged.stops_at(454));
    assert!(
        !SamplingParams {
            ignore_stop: true,
            ..merged
        }
        .stops_at(453)
    );
}

#[test]
fn eos_may_be_one_number_a_list_or_missing() {
    let stop = |text: &str| {
        let file = GenerationConfig::from_json(text)?;
        Ok::<_, Error>(SamplingParams::merge(&file, &SamplingOverrides::default())?.stop_ids)
    };
    assert_eq!(stop(r#"{"eos_token_id": 7}"#), Ok(vec![7]));
    assert_eq!(stop(r#"{"eos_token_id": [7, 9]}"#), Ok(vec![7, 9]));
    assert_eq!(stop("{}"), Ok(vec![]));
    assert_eq!(stop(r#"{"eos_token_id": null}"#), Ok(vec![]));
    for bad in [
        r#"{"eos_token_id": -1}"#,
        r#"{"eos_token_id": "x"}"#,
        r#"{"top_k": -1}"#,
        "[",
        "3",
    ] {
        assert!(
            matches!(stop(bad), Err(Error::GenerationConfig { .. })),
            "{bad}"
        );
    }
}

#[test]
fn greedy_file_ignores_its_temperature() {
    for text in [
        r#"{"temperature": 0.7}"#,
        r#"{"do_sample": false, "temperature": 0.7}"#,
    ] {
        let file = GenerationConfig::from_json(text).expect("valid");
        let merged = SamplingParams::merge(&file, &SamplingOverrides::default()).expect("valid");
        assert_eq!(merged.temperature, 0.0, "{text}");
    }
    let file = GenerationConfig::from_json(r#"{"do_sample": true}"#).expect("valid");
    let merged = SamplingParams::merge(&file, &SamplingOverrides::default()).expect("valid");
    assert_eq!((merged.temperature, merged.top_k), (1.0, None));
}

#[test]
fn the_user_wins() {
    let file = GenerationConfig::from_json(RELEASED).expect("valid");
    let user = SamplingOverrides {
        temperature: Some(0.3),
        top_k: Some(0),
        top_p: Some(1.0),
        min_p: Some(0.1),
        repetition_penalty: Some(1.1),
        seed: Some(9),
        max_new_tokens: Some(5),
        think_budget: Some(3),
        ..Default::default()
    };
    let merged = SamplingParams::merge(&file, &user).expect("valid");
    let want = SamplingParams {
        max_new_tokens: 5,
        temperature: 0.3,
        top_k: None,
        top_p: None,
        min_p: Some(0.1),
        repetition_penalty: 1.1,
        seed: 9,
        stop_ids: vec![446, 453, 455],
        think_budget: Some(3),
        ignore_stop: false,
        forbidden_ids: vec![],
        logprobs: Logprobs::Model,
    };
    assert_eq!(merged, want);
    let greedy = SamplingOverrides {
        greedy: true,
        ..user
    };
    assert_eq!(
        SamplingParams::merge(&file, &greedy)
            .expect("valid")
            .temperature,
        0.0
    );
    let bad = SamplingOverrides {
        top_p: Some(2.0),
        ..Default::default()
    };
    assert!(SamplingParams::merge(&file, &bad).is_err());
}
