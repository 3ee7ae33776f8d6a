//! Postern's testbed.
