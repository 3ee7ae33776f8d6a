//! The command `postern-agent`.

fn main() -> std::process::ExitCode {
    postern_agent::main(std::env::args_os())
}
