//! The `postern-loadtest` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    postern_loadtest::cli::main(std::env::args_os())
}
