//! The program `postrider`; all of it is in the library beside it.

fn main() -> std::process::ExitCode {
    postrider_cli::run(std::env::args_os())
}
