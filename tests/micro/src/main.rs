//! Micro benchmarks, run by `tests/micro/compare`:
//!
//! - `drawbridge-micro parse`: filters and PATCH, parsed and carried out
//! - `drawbridge-micro list PROGRAM`: a list of 100 users over HTTP
//!
//! One line a figure: name, unit, value, with tabs between. Figures of one
//! machine at one time can be compared, and no others.

use std::process::ExitCode;

mod clock;
mod list;
mod rows;
#[path = "../../../src/scim/mod.rs"]
#[allow(dead_code, unused_imports)]
mod scim;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    match given.as_slice() {
        ["parse"] => rows::all(),
        ["list", program] => match list::measure(program) {
            Ok(rate) => clock::tell("GET 100 users", "req/s", rate),
            Err(error) => {
                eprintln!("the list could not be measured: {error}");
                return ExitCode::FAILURE;
            }
        },
        _ => {
            eprintln!("usage: drawbridge-micro parse | list PROGRAM");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
