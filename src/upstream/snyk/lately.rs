//! Looks at one user right before the end, to see whether what was only found is
//! there still. One that has shown something serves for the end itself, once: it is
//! a look of the user's own, and no older than one that waits for its turn to be
//! acted on. One that has shown nothing serves for nothing, as it may be there by
//! now.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::api::Membership;
use crate::upstream::client::Moment;

/// For so long after it began.
const SERVES: Duration = Duration::from_secs(1);

/// By the ids of the Snyk Group and the user.
type Looks = HashMap<(String, String), (Moment, Vec<Membership>)>;

#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<Looks>);

impl Lately {
    pub(super) fn keep(&self, group: &str, user: &str, began: Moment, shown: &[Membership]) {
        let mut looks = self.lock();
        looks.retain(|_, (began, _)| began.is_within(SERVES));
        let of = (group.to_owned(), user.to_owned());
        if shown.is_empty() {
            looks.remove(&of);
        } else {
            looks.insert(of, (began, shown.to_vec()));
        }
    }

    /// What it has shown; whoever asks again looks again.
    pub(super) fn take(&self, group: &str, user: &str) -> Option<Vec<Membership>> {
        let look = self.lock().remove(&(group.to_owned(), user.to_owned()));
        let (_, shown) = look.filter(|(began, _)| began.is_within(SERVES))?;
        Some(shown)
    }

    fn lock(&self) -> MutexGuard<'_, Looks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_that_showed_somebody_serves_once_and_for_a_moment() {
        let lately = Lately::default();
        let shown = [Membership::default()];
        let look = |shown: &[Membership]| lately.keep("g", "ann", Moment::now(), shown);
        look(&shown);
        assert_eq!(lately.take("h", "ann"), None);
        assert_eq!(lately.take("g", "ben"), None);
        assert_eq!(lately.take("g", "ann").as_deref(), Some(&shown[..]));
        assert_eq!(lately.take("g", "ann"), None, "it has served");
        look(&shown);
        look(&[]);
        assert_eq!(lately.take("g", "ann"), None, "nothing was shown since");
        look(&shown);
        tokio::time::advance(SERVES * 2).await;
        assert_eq!(lately.take("g", "ann"), None, "it is too old");
    }
}
