//! Named points on the way of a write and of a turn, at which tests end the
//! process to show that nothing is lost there (reliability: F-16, T-05). A
//! debug build ends, as if killed, the given time it comes to the point that
//! `DRAWBRIDGE_END_AT` names, `NAME:TIME`; in a release build nothing of this
//! is left.

/// One such point.
macro_rules! point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::point::reached($name);
    };
}

#[cfg(debug_assertions)]
pub(crate) fn reached(name: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    };
    static END: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let end = END.get_or_init(|| {
        let wanted = std::env::var("DRAWBRIDGE_END_AT").ok()?;
        let (name, time) = wanted.split_once(':')?;
        Some((name.to_owned(), AtomicU64::new(time.parse().ok()?)))
    });
    if let Some((wanted, left)) = end
        && wanted == name
        && left.fetch_sub(1, SeqCst) == 1
    {
        std::process::abort();
    }
}
