//! The backend extension of the paged cache: writes in place and attention through block tables.
//! Nothing here has a gradient; `route` sends autodiff devices to the twins.

use crate::{attention, kv};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Flex, backend_extension};
use burn_cubecl::CubeBackend;

/// Operations on a store's tensors; shapes stand at the public functions of `kv.rs` and
/// `attention_paged.rs`.
#[backend_extension(Cube, Flex)]
pub(crate) trait KvOps: Backend {
    fn kv_write(
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        slots: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn kv_write_q8(
        keys: IntTensor<Self>,
        values: IntTensor<Self>,
        scales: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        slots: IntTensor<Self>,
    ) -> (IntTensor<Self>, IntTensor<Self>, FloatTensor<Self>);
    fn kv_copy(
        data: FloatTensor<Self>,
        from: IntTensor<Self>,
        to: IntTensor<Self>,
    ) -> FloatTensor<Self>;
    fn kv_copy_codes(
        data: IntTensor<Self>,
        from: IntTensor<Self>,
        to: IntTensor<Self>,
    ) -> IntTensor<Self>;
    fn attention_paged(
        q: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        table: IntTensor<Self>,
        range: IntTensor<Self>,
        scale: f32,
        block: usize,
    ) -> FloatTensor<Self>;
    fn attention_paged_q8(
        q: FloatTensor<Self>,
        keys: IntTensor<Self>,
        values: IntTensor<Self>,
        scales: FloatTensor<Self>,
        table: IntTensor<Self>,
        range: IntTensor<Self>,
        scale: f32,
        block: usize,
    ) -> FloatTensor<Self>;
}

/// The same six methods for a backend whose implementations lie in the modules of that name.
macro_rules! implement {
    ($backend:ty, $module:ident) => {
        impl KvOps for $backend {
            fn kv_write(
                keys: FloatTensor<Self>,
                values: FloatTensor<Self>,
                k: FloatTensor<Self>,
                v: FloatTensor<Self>,
                slots: IntTensor<Self>,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                kv::$module::kv_write(keys, values, k, v, slots)
            }
            fn kv_write_q8(
                keys: IntTensor<Self>,
                values: IntTensor<Self>,
                scales: FloatTensor<Self>,
                k: FloatTensor<Self>,
                v: FloatTensor<Self>,
                slots: IntTensor<Self>,
            ) -> (IntTensor<Self>, IntTensor<Self>, FloatTensor<Self>) {
                kv::$module::kv_write_q8(keys, values, scales, k, v, slots)
            }
            fn kv_copy(
                data: FloatTensor<Self>,
                from: IntTensor<Self>,
                to: IntTensor<Self>,
            ) -> FloatTensor<Self> {
                kv::$module::kv_copy(data, from, to)
            }
            fn kv_copy_codes(
                data: IntTensor<Self>,
                from: IntTensor<Self>,
                to: IntTensor<Self>,
            ) -> IntTensor<Self> {
                kv::$module::kv_copy(data, from, to)
            }
            fn attention_paged(
                q: FloatTensor<Self>,
                keys: FloatTensor<Self>,
                values: FloatTensor<Self>,
                table: IntTensor<Self>,
                range: IntTensor<Self>,
                scale: f32,
                block: usize,
            ) -> FloatTensor<Self> {
                attention::$module::paged(q, (keys, values, None), table, range, scale, block)
            }
            fn attention_paged_q8(
                q: FloatTensor<Self>,
                keys: IntTensor<Self>,
                values: IntTensor<Self>,
                scales: FloatTensor<Self>,
                table: IntTensor<Self>,
                range: IntTensor<Self>,
                scale: f32,
                block: usize,
            ) -> FloatTensor<Self> {
                let store = (keys, values, Some(scales));
                attention::$module::paged(q, store, table, range, scale, block)
            }
        }
    };
}

implement!(CubeBackend, cube);
implement!(Flex, native);
