//! One HTTP client for every application: paced, bounded, redacting. Not written yet.
