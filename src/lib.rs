//! drawbridge: a SCIM 2.0 bridge.

pub mod app;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod http;
pub mod plan;
pub mod scim;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod upstream;
