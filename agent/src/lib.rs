//! Postern's agent.
