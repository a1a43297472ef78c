//! What surrounds the objective in a step: packing, forced answers, the bound before the first
//! update, harvest, recipes.

mod bound;
mod forced;
mod harvest;
mod pack;
mod recipe;
