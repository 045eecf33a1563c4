//! The `drawbridge` command. Everything is in the library's `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    drawbridge::cli::run()
}
