//! The directory errs: one controller of two, both, or its answers.

pub(super) mod answer_lost;
pub(super) mod bad;
pub(super) mod down;
