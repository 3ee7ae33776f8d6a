//! Postern's relay.
