//! The kernels that choose tokens and the parameter sets they run with; the table that `all` chains
//! with the others. Each is a file of its own followed by `parts/sample.wgsl`.

use crate::Shader;

/// The file of that name with the shared parts behind it.
macro_rules! source {
    ($file:literal $(, $more:literal)?) => {
        concat!(
            include_str!($file),
            "\n",
            include_str!("parts/sample.wgsl")
            $(, "\n", include_str!($more))?
        )
    };
}

static SHADERS: [Shader; 3] = [
    Shader {
        name: "sample_max",
        source: source!("sample_max.wgsl"),
        sets: &[&[("WG", "64u")], &[("WG", "256u")]],
    },
    Shader {
        name: "sample_sum",
        source: source!("sample_sum.wgsl"),
        sets: &[&[("WG", "64u")], &[("WG", "256u")]],
    },
    Shader {
        name: "sample_pick",
        source: source!("sample_pick.wgsl", "parts/sample_search.wgsl"),
        sets: &[
            &[("WG", "64u"), ("BITS", "4u")],
            &[("WG", "256u"), ("BITS", "2u")],
        ],
    },
];

/// All of them.
pub(crate) fn shaders() -> impl Iterator<Item = &'static Shader> {
    SHADERS.iter()
}
