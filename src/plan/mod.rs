//! What must change: desired against observed, as pure functions and values.
//!
//! A plan can be printed, stored and refused before anything happens. Nothing
//! here knows async, a clock, randomness or I/O.

pub mod capability;
pub mod decide;
pub mod drift;
pub mod guard;
pub mod listing;
pub mod operation;
pub mod state;
