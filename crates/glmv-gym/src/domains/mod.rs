//! The domains, one file each: `LEVELS` says what is asked for, `draft` makes it. Lessons are beside them.

pub(crate) mod arithmetic;
pub(crate) mod chart;
mod chart_draw;
pub(crate) mod compare;
pub(crate) mod counting;
pub(crate) mod geometry;
pub(crate) mod grounding;
pub(crate) mod gui;
mod gui_draw;
pub(crate) mod lesson;
pub(crate) mod ocr;
pub(crate) mod spatial;
mod things;
pub(crate) mod video;
pub(crate) mod vqa;
mod words;
