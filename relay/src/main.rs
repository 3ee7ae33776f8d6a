//! The `postern-relay` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    postern_relay::main(std::env::args_os())
}
