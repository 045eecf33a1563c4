//! The protocol: RFC 7643 and 7644 as pure functions and values.
//!
//! Nothing here knows async, a clock, randomness or I/O, and nothing of ours
//! is imported. Both dialects (the RFC's, and what identity providers really
//! send) end in the same types, so everything behind this module sees one.

pub mod bulk;
pub mod catalog;
pub mod dropped;
pub mod error;
pub mod filter;
pub mod groups;
pub mod json;
pub mod json_schema;
mod members;
pub mod message;
pub mod patch;
pub mod path;
pub mod query;
pub mod render;
pub mod resource;
pub mod schema;
pub mod tags;
mod value;
