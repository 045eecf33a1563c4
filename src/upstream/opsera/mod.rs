//! Opsera. Not written yet.
