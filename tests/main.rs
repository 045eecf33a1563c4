//! Black box: the real program, a real simulator beside it, a real store.
//!
//! Everything comes in by the front door. `front` speaks to the server byte by
//! byte; the rest starts whole processes with the harness in `support`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Figures, for whoever asks with `--nocapture`.
#![allow(clippy::print_stdout)]
// What a helper takes and gives is what its callers have and need.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]
#![allow(unreachable_pub)]

use drawbridge::simulator::Call;

mod applications;
mod audit;
mod backlog;
mod budget;
mod bulk;
mod calls;
mod catalog;
mod chaos;
mod circuit;
mod clock;
mod commands;
#[path = "../src/simulator/tests/contract.rs"]
mod contract;
mod crash;
mod crawl;
mod departures;
mod direct_groups;
mod disk;
mod edges;
mod faults;
mod filters;
mod foreign;
mod front;
mod fuzz;
mod gone;
mod guard;
mod hazards;
mod hydden;
mod leavers;
mod lifecycle;
mod linked;
mod lists;
mod load;
mod log;
mod measured;
mod mirror;
mod model;
mod named_again;
mod names;
mod openapi;
mod operator;
mod pace;
mod plan;
mod power;
mod projection;
mod readings;
mod recalled;
mod reconcile;
mod refusals;
mod refused_groups;
mod rehearsal;
mod remade;
mod repeats;
mod returned;
mod rounds;
mod sharing;
mod snyk;
mod spellings;
mod storm;
mod strict;
mod strict_queries;
mod support;
mod switch;
mod tenants;
mod tidy;
mod titles;
mod tls;
mod told;
mod unasked;
mod unknown;
mod versions;
mod wire;
mod witness;
mod written_groups;
