//! Postern's mock-dc.
