//! Gradients of tables whose rows were looked up: each row's entries are added in list order, without
//! atomics, so that the sums repeat bit by bit.

pub(crate) mod cube {
    //! WGSL launches: lists of the entries of each row, then one sum per row and column.
    use crate::launch::{empty, f32_rows, fold, launch, vec_params, wgsl_int};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

    /// Lanes that share the rows of a table; each reads the whole list.
    const LANES: usize = 512;

    /// See [`crate::backend_grad::GradOps::scatter_rows`].
    pub(crate) fn rows(
        grad: CubeTensor,
        ids: CubeTensor,
        factors: Option<CubeTensor>,
        spread: usize,
        [base, rows]: [usize; 2],
    ) -> CubeTensor {
        let (grad, ids) = (f32_rows(grad), into_contiguous(ids));
        let d = grad.shape()[1];
        let n = ids.shape().num_elements();
        let links = empty(&ids, [2 * rows + n], ids.dtype);
        let lanes = rows.next_multiple_of(64).min(LANES);
        let info = [n, rows, base, lanes].map(|v| v as u32);
        let int = ("Int", wgsl_int(&ids));
        let params = vec![int.clone()];
        launch(
            "scatter_links",
            params,
            fold(lanes / 64),
            &[&ids, &links],
            &info,
        );
        let out = empty(&grad, [rows, d], DType::F32);
        let (mut params, groups) = vec_params(d);
        params.retain(|(name, _)| *name != "ONES");
        params.extend([int, ("WEIGHTED", factors.is_some().to_string())]);
        // Factors are bound always; without them any buffer serves and is not read.
        let factors = factors.map_or_else(|| grad.clone(), f32_rows);
        let info = [rows, groups, spread].map(|v| v as u32);
        let grid = fold((rows * groups).div_ceil(64));
        let buffers = [&grad, &factors, &links, &out];
        launch("scatter_rows", params, grid, &buffers, &info);
        out
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device, parallel over rows.
    use crate::flex::{f32_rows, floats, ints, new_f32};
    use burn::backend::TensorMetadata;
    use burn::tensor::Shape;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    /// See [`crate::backend_grad::GradOps::scatter_rows`].
    pub(crate) fn rows(
        grad: FlexTensor,
        ids: FlexTensor,
        factors: Option<FlexTensor>,
        spread: usize,
        [base, rows]: [usize; 2],
    ) -> FlexTensor {
        let (grad, factors) = (f32_rows(grad), factors.map(f32_rows));
        let d = grad.shape()[1];
        let mut entries: Vec<(usize, usize)> = ints(&ids)
            .into_iter()
            .enumerate()
            .filter_map(|(i, id)| {
                let row = usize::try_from(id).ok()?.checked_sub(base)?;
                (row < rows).then_some((row, i))
            })
            .collect();
        entries.sort_unstable();
        let (values, factors) = (floats(&grad), factors.as_ref().map(floats));
        let sums: Vec<(usize, Vec<f32>)> = entries
            .par_chunk_by(|a, b| a.0 == b.0)
            .map(|entries| {
                let mut sum = vec![0f32; d];
                for (_, i) in entries {
                    let factor = factors.map_or(1.0, |f| f[*i]);
                    let row = &values[i / spread * d..][..d];
                    sum.iter_mut().zip(row).for_each(|(s, v)| *s += factor * v);
                }
                (entries[0].0, sum)
            })
            .collect();
        let mut out = vec![0f32; rows * d];
        for (row, sum) in sums {
            out[row * d..][..d].copy_from_slice(&sum);
        }
        new_f32(out, Shape::new([rows, d]))
    }
}
