//! The `postern` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    postern_testbed::cli::main(std::env::args_os())
}
