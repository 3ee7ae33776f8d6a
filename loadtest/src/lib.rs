//! Load that tells the truth: sign-ins at planned times, each with an outcome that is known beforehand.
//!
//! A [`Load`] says when sign-ins come and of which [`Kind`], and [`People`] who makes them: together they say what must
//! come of each. The [`generator`] keeps to it whatever the answers do and says how well it could. What it saw are
//! [`Record`]s: a [`Summary`] counts them, and with mock-dc's record of [`binds`] it is known how often each password was
//! really tried.

mod alarm;
pub mod arms;
pub mod binds;
pub mod cli;
mod client;
pub mod cluster;
pub mod fault;
pub mod find_max;
pub mod generator;
pub mod hdr;
pub mod ledger;
pub mod load;
pub mod metrics;
pub mod mix;
pub mod people;
pub mod record;
pub mod report;
pub mod require;
pub mod results;
pub mod run;
pub mod sampler;
pub mod scenario;
pub mod scrape;
pub mod summary;
mod sync;
pub mod text;
pub mod view;

pub use binds::{Bind, Binds};
pub use client::{Authorities, Protocol, Reach, Route, Sealing, Target, Token};
pub use generator::{Generator, Pace, Run, Running};
pub use load::{Arrivals, Load, Stage};
pub use mix::{Kind, Mix};
pub use people::{Pattern, People, Person};
pub use record::{Attempt, Broken, Ended, Judgement, Record, Tally};
pub use summary::{Latency, Summary};
