//! When something was heard of an application, for what may be relied on for a
//! while only. The clock is read here, so that applications have none.

use std::time::Duration;

use tokio::time::Instant;

/// A moment that has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::upstream) struct Moment(Instant);

impl Moment {
    pub(in crate::upstream) fn now() -> Self {
        Self(Instant::now())
    }

    /// The moment so long ago, where the clock reaches so far back.
    pub(in crate::upstream) fn ago(age: Duration) -> Option<Self> {
        Instant::now().checked_sub(age).map(Self)
    }

    pub(in crate::upstream) fn age(self) -> Duration {
        self.0.elapsed()
    }

    /// Whether it is no longer ago than that.
    pub(in crate::upstream) fn is_within(self, span: Duration) -> bool {
        self.0.elapsed() <= span
    }

    /// What is left of a span that began then.
    pub(in crate::upstream) fn rest(self, span: Duration) -> Option<Duration> {
        span.checked_sub(self.0.elapsed())
    }
}
