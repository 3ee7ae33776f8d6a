//! Load that tells the truth: sign-ins at planned times, each with an outcome that is known beforehand.
//!
//! A [`Plan`] says when which user signs in and what must come of it. The [`generator`] keeps to it whatever the answers
//! do (an open loop) and says how well it could. What it saw are [`Record`]s: a [`Summary`] counts them, and with
//! mock-dc's record of [`binds`] it is known how often each password was really tried.

pub mod binds;
mod client;
pub mod generator;
pub mod plan;
pub mod record;
pub mod summary;

pub use binds::{Bind, Binds};
pub use client::Target;
pub use generator::{Generator, Run, Running};
pub use plan::{Attempt, Plan, Stage};
pub use record::{Broken, Ended, Judgement, Record};
pub use summary::{Latency, Summary};
