//! Clock and randomness, for the whole engine in one place.

use std::time::Duration;

use crate::{scim::resource::ResourceId, store::Millis};

/// Wall-clock milliseconds: for display, audit and token expiry, never for
/// ordering.
pub(super) fn now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}

/// A new resource id: time-ordered, 74 random bits.
pub(super) fn new_id() -> ResourceId {
    ResourceId::new(uuid::Uuid::now_v7())
}

/// Full jitter: anything between nothing and `cap`, evenly.
pub(super) fn jitter(cap: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    cap.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
