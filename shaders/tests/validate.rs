//! Every shader with every parameter set through naga: parsed, validated, written as SPIR-V, MSL
//! and HLSL, and held to the rules in the crate's documentation. No GPU is needed.

use glmv_shaders::{Error, Params, Shader, all, by_name};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess};

const MAX_BINDINGS: usize = 11;
const MAX_WORKGROUP_BYTES: u32 = 16 * 1024;

fn check(text: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let info = Validator::new(
        ValidationFlags::all(),
        Capabilities::SHADER_FLOAT16
            | Capabilities::SHADER_FLOAT16_IN_FLOAT32
            | Capabilities::SUBGROUP,
    )
    .validate(&module)
    .map_err(|e| e.emit_to_string(text))?;
    check_rules(&module, &info)?;
    write(&module, &info)
}

/// As [`check`] for a `*_coop` file: with cooperative matrices, which only Vulkan gets.
fn check_cooperative(text: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let info = Validator::new(
        ValidationFlags::all(),
        Capabilities::SHADER_FLOAT16
            | Capabilities::SHADER_FLOAT16_IN_FLOAT32
            | Capabilities::SUBGROUP
            | Capabilities::COOPERATIVE_MATRIX,
    )
    .validate(&module)
    .map_err(|e| e.emit_to_string(text))?;
    check_rules(&module, &info)?;
    write_spirv(&module, &info)
}

fn check_named(name: &str, text: &str) -> Result<(), String> {
    match name.ends_with("_coop") {
        true => check_cooperative(text),
        false => check(text),
    }
}

fn check_rules(module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let [entry] = &module.entry_points[..] else {
        return Err(format!("{} entry points", module.entry_points.len()));
    };
    if entry.name != "main" || entry.stage != ShaderStage::Compute {
        return Err(format!(
            "entry point {} is not a compute `main`",
            entry.name
        ));
    }
    let mut layouter = naga::proc::Layouter::default();
    layouter
        .update(module.to_ctx())
        .map_err(|e| e.to_string())?;
    let mut workgroup_bytes = 0;
    let mut bindings = Vec::new();
    for (handle, var) in module.global_variables.iter() {
        let name = var.name.clone().unwrap_or_default();
        if info.get_entry_point(0)[handle].is_empty() {
            return Err(format!("{name} is never used"));
        }
        match var.space {
            AddressSpace::WorkGroup => workgroup_bytes += layouter[var.ty].size,
            AddressSpace::Storage { access } => {
                let place = var.binding.ok_or("a storage variable has no binding")?;
                bindings.push((place.group, place.binding, name, access));
            }
            other => return Err(format!("{name} is in {other:?}")),
        }
    }
    if workgroup_bytes > MAX_WORKGROUP_BYTES {
        return Err(format!("{workgroup_bytes} bytes of workgroup memory"));
    }
    if bindings.len() > MAX_BINDINGS {
        return Err(format!("{} bindings", bindings.len()));
    }
    bindings.sort_unstable_by_key(|(group, binding, ..)| (*group, *binding));
    let last = bindings.len().checked_sub(1).ok_or("no bindings")?;
    for (i, (group, binding, name, access)) in bindings.iter().enumerate() {
        let tensor = *access == (StorageAccess::LOAD | StorageAccess::STORE);
        let info = name == "info" && *access == StorageAccess::LOAD;
        if *group != 0 || *binding as usize != i || !(if i == last { info } else { tensor }) {
            return Err(format!("binding {group}.{binding} {name} is {access:?}"));
        }
    }
    Ok(())
}

fn write_spirv(module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let spirv = spv::PipelineOptions {
        shader_stage: ShaderStage::Compute,
        entry_point: "main".to_string(),
    };
    spv::write_vec(module, info, &spv::Options::default(), Some(&spirv))
        .map_err(|e| format!("SPIR-V: {e}"))?;
    Ok(())
}

fn write(module: &Module, info: &ModuleInfo) -> Result<(), String> {
    write_spirv(module, info)?;
    let metal = msl::Options {
        lang_version: (2, 4),
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions::default();
    msl::write_string(module, info, &metal, &pipeline).map_err(|e| format!("MSL: {e}"))?;
    let direct = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_2,
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions::default();
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &direct, &pipeline)
        .write(module, info, None)
        .map_err(|e| format!("HLSL: {e}"))?;
    Ok(())
}

fn check_set(shader: &Shader, params: Params) {
    let text = shader
        .specialise(params)
        .unwrap_or_else(|e| panic!("{params:?}: {e}"));
    if let Err(e) = check_named(shader.name, &text) {
        panic!("{} with {params:?}: {e}", shader.name);
    }
}

#[test]
fn every_shader_with_every_parameter_set() {
    for shader in all() {
        assert!(
            !shader.sets.is_empty(),
            "{} has no parameter sets",
            shader.name
        );
        check_set(shader, &[]);
        check_named(shader.name, shader.source)
            .unwrap_or_else(|e| panic!("{} as it stands: {e}", shader.name));
        for params in shader.sets {
            check_set(shader, params);
        }
    }
}

#[test]
fn every_file_is_registered_documented_and_portable() {
    let mut files: Vec<String> = std::fs::read_dir(env!("CARGO_MANIFEST_DIR"))
        .expect("the crate's folder is readable")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".wgsl").map(str::to_string))
        .collect();
    let mut names: Vec<&str> = all().map(|shader| shader.name).collect();
    // Both kernels of a pair come from one file.
    names.retain(|name| !(name.starts_with("few_") && name.ends_with("_sub")));
    files.sort_unstable();
    names.sort_unstable();
    assert_eq!(files, names);
    for shader in all() {
        let header: Vec<&str> = shader
            .source
            .lines()
            .take_while(|line| line.starts_with("//"))
            .collect();
        for word in ["source:", "grid:", "twin:"] {
            let found = header
                .iter()
                .any(|line| line.trim_start_matches(['/', ' ']).starts_with(word));
            assert!(found, "{}: no `{word}` in the header", shader.name);
        }
        assert_eq!(
            shader.bindings(),
            shader.source.matches("@binding(").count(),
            "{}",
            shader.name
        );
        let code = shader
            .source
            .lines()
            .filter_map(|line| line.split("//").next());
        let code: String = code.collect();
        for word in ["atomic", "override", "{{"] {
            assert!(!code.contains(word), "{}: {word}", shader.name);
        }
        // Subgroups only where the name says so, and never without a portable sibling.
        let sub = shader.name.strip_suffix("_sub");
        let coop = shader.name.ends_with("_coop");
        let named = sub.is_some() || coop;
        assert_eq!(code.contains("subgroup"), named, "{}", shader.name);
        assert_eq!(code.contains("coop"), coop, "{}", shader.name);
        assert!(sub.is_none_or(|name| all().any(|s| s.name == name)));
    }
}

const GOOD: &str = "alias Vec = f32; // param
const WG: u32 = 64u; // param
@group(0) @binding(0) var<storage, read_write> x: array<Vec>;
@group(0) @binding(1) var<storage, read> info: array<u32>;
@compute @workgroup_size(WG) fn main(@builtin(local_invocation_index) i: u32) {
    if i < info[0] { x[i] = Vec(2.0); }
}
";

#[test]
fn broken_shaders_are_rejected() {
    check(GOOD).expect("the unbroken text passes");
    let coop = by_name("linear_coop").source;
    assert!(check(coop).is_err(), "matrices outside of a *_coop file");
    let cases = [
        ("x[i] = Vec(2.0)", "x[i] = true"),
        ("x[i] = Vec(2.0)", "_ = x[0]; x[i] = y"),
        ("x[i] = Vec(2.0);", ""),
        ("read_write> x", "read> x"),
        ("read> info", "read_write> info"),
        ("fn main", "fn start"),
        ("alias Vec = f32", "alias Vec = f16"),
        (
            "x[i] = Vec(2.0)",
            "x[i] = t[i]; } var<workgroup> t: array<f32, 4097>; fn f() {",
        ),
    ];
    for (from, to) in cases {
        let broken = GOOD.replacen(from, to, 1);
        assert_ne!(broken, GOOD);
        assert!(check(&broken).is_err(), "accepted {to}");
    }
}

#[test]
fn specialise_replaces_and_refuses() {
    let shader = Shader {
        name: "good",
        source: GOOD,
        sets: &[],
    };
    let half = shader
        .specialise(&[("Vec", "vec4<f16>"), ("WG", "32u")])
        .expect("both are parameters");
    assert!(
        half.starts_with("enable f16;\nalias Vec = vec4<f16>;\nconst WG: u32 = 32u;\n"),
        "{half}"
    );
    assert!(!half.contains("// param"));
    assert!(!shader.specialise(&[]).expect("defaults").contains("f16"));
    assert_eq!(
        shader
            .params()
            .iter()
            .map(|p| (p.name, p.default))
            .collect::<Vec<_>>(),
        [("Vec", "f32"), ("WG", "64u")]
    );
    assert_eq!(shader.bindings(), 2);
    let error = |params| shader.specialise(params).expect_err("refused");
    assert!(matches!(error(&[("Wg", "1u")]), Error::UnknownParam { .. }));
    assert!(matches!(
        error(&[("info", "1u")]),
        Error::UnknownParam { .. }
    ));
    assert!(matches!(
        error(&[("WG", "1u"), ("WG", "2u")]),
        Error::RepeatedParam { .. }
    ));
    assert!(matches!(error(&[("WG", "")]), Error::BadValue { .. }));
    assert!(matches!(
        error(&[("WG", "1u; const X = 1u")]),
        Error::BadValue { .. }
    ));
    assert_eq!(by_name("rope").name, "rope");
}
