//! Everything that a controller does with the bytes of one connection: framing, decoding, carrying out, answering.

#![no_main]

#[path = "../../mock-dc/tests/corpus/exam.rs"]
pub(crate) mod exam;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use postern_mock_dc::domain::dialect::Dialect;
use postern_mock_dc::ldap::rehearsal::Rehearsal;

static CONTROLLERS: LazyLock<[(Dialect, Rehearsal); 2]> =
    LazyLock::new(|| exam::controllers(include_str!("../domain.toml")));

fuzz_target!(|bytes: &[u8]| {
    // As it comes, and cut into pieces whose length no structure of the input follows.
    for (dialect, controller) in &*CONTROLLERS {
        for piece in [bytes.len().max(1), 7] {
            exam::examine(controller, *dialect, bytes, piece);
        }
    }
});
