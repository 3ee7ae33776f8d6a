//! What relay and agent must agree on, and nothing else.
//!
//! Identities read from certificates ([`identity`]), the frames between the two ([`frame`], [`wire`]), the sealing
//! of passwords ([`seal`]), the names of users ([`user_name`]) and their accounts ([`subject`]), what can come out of a
//! sign-in ([`outcome`]), what carries a connection ([`connection`]) and why it was closed ([`close`]), how a link behaves
//! on a bad network ([`transport`], [`congestion`]), and how an agent reads the relay's clock ([`relay_time`]). No
//! configuration, and of tasks only the one that drives a connection over TCP.

pub mod close;
pub mod congestion;
pub mod connection;
pub mod frame;
pub mod identity;
pub mod json;
pub mod outcome;
pub mod password;
pub mod relay_time;
pub mod request_id;
pub mod seal;
pub mod subject;
pub mod transport;
pub mod user_name;
pub mod wire;

pub use identity::{AgentIdentity, RealmKey, Segment, TrustDomain};
pub use outcome::{NotStarted, Outcome, Unavailable, Verdict};
pub use password::Password;
pub use relay_time::Moment;
pub use request_id::RequestId;
pub use subject::Subject;
pub use user_name::UserName;
