//! drawbridge: a SCIM 2.0 bridge.

pub mod bridge;
pub mod http;
pub mod plan;
pub mod scim;
pub mod store;
pub mod upstream;
