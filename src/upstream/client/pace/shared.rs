//! One pace for each credential, whatever the number of connections that use
//! it, and however they spell the address: an application counts the calls of
//! a credential, not of a connection.
//!
//! Credentials are compared as they are when connections are opened; one that
//! cannot be read then has a pace of its own.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use reqwest::header::HeaderValue;

use super::{Limits, Pace};

/// Of the whole process, as the credential's limit is.
static PACES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

struct Entry {
    /// The kind of application, and which of them where that can be told.
    site: String,
    /// Marked sensitive, so never shown.
    credential: HeaderValue,
    pace: Weak<Pace>,
}

/// The pace for a credential; the stricter of all limits that were given for
/// it is kept.
pub(in crate::upstream::client) fn pace_for(
    site: &str,
    credential: Option<HeaderValue>,
    limits: &Limits,
) -> Arc<Pace> {
    let Some(credential) = credential else {
        return Arc::new(Pace::new(limits));
    };
    let mut paces = PACES.lock().unwrap_or_else(PoisonError::into_inner);
    paces.retain(|entry| entry.pace.strong_count() > 0);
    let known = paces.iter().find_map(|entry| {
        let is_same = entry.site == site && entry.credential == credential;
        is_same.then(|| entry.pace.upgrade()).flatten()
    });
    if let Some(pace) = known {
        tracing::info!(%site, "connections with the same credential share one pace");
        pace.tighten(limits);
        return pace;
    }
    let pace = Arc::new(Pace::new(limits));
    paces.push(Entry {
        site: site.to_owned(),
        credential,
        pace: Arc::downgrade(&pace),
    });
    pace
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{
        super::{Priority, What},
        *,
    };

    fn limits(per_second: u32, per_minute: Option<u32>) -> Limits {
        Limits {
            per_second,
            burst: 100,
            concurrency: 8,
            per_minute,
            penalty: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_with_one_credential_share_the_stricter_limits() {
        let pace = |credential, limits: &Limits| {
            let credential = HeaderValue::from_static(credential);
            pace_for("shared", Some(credential), limits)
        };
        let first = pace("a", &limits(50, None));
        let second = pace("a", &limits(20, Some(30)));
        let other = pace("b", &limits(50, None));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
        assert_eq!((first.per_second(), other.per_second()), (20, 50));
        assert_eq!((first.per_minute(), other.per_minute()), (Some(30), None));
        let (one, two) = (first.join(), second.join());
        let call = What { kind: 1, one: 1 };
        let start = Instant::now();
        for _ in 0..30 {
            drop(first.turn(&one, Priority::Revocation, call).await);
        }
        assert!(start.elapsed().as_millis() >= 1_000);
        let more = second.turn(&two, Priority::Revocation, call).await;
        assert!(more.is_err(), "the minute's calls were made");
    }
}
