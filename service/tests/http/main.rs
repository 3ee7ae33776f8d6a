//! The HTTP server over real sockets on loopback: how it ends, what it waits for, whom it lets in, what changes.
//!
//! The runtime has one thread and takes what happens on sockets in order, so an answer on one connection means that
//! the server has seen all that was done before: that is what [`Server::settle`] stands on instead of a sleep.

#![expect(clippy::expect_used, reason = "tests stop at what must not happen")]

mod ending;
mod limits;
mod parts;
mod site;
