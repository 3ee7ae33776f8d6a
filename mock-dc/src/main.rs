//! The binary; everything is in the library.

fn main() -> std::process::ExitCode {
    postern_mock_dc::main(std::env::args_os())
}
