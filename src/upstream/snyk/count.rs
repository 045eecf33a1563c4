//! How many memberships Snyk says a Snyk Group has, against how many it lists
//! (reliability: I-22, H-20). What the count is of is documented nowhere, so it is
//! taken for that total only where it can hardly be anything else: where every
//! entry of a full page has the same, and that is no less than there are entries.
//! A list that disagrees with it is thrown away, unless later ones, far apart, do
//! so by just as much: then it is Snyk's way to count.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::wire::unclear;
use crate::upstream::{UpstreamError, client::Moment};

/// What a list disagrees by is believed after so long.
const APART: Duration = Duration::from_secs(600);

/// One list, page after page.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows: i64,
    pages: usize,
    total: Option<i64>,
    changed: bool,
}

/// What is wrong with a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    /// The total was another one on another page.
    Changed,
    /// There are so many more or fewer than the total.
    By(i64),
}

impl Tally {
    /// The counts of a page's entries; `more`: another page comes after it.
    pub(super) fn page(&mut self, counts: &[Option<i64>], more: bool) {
        let size = i64::try_from(counts.len()).unwrap_or(i64::MAX);
        self.rows = self.rows.saturating_add(size);
        self.pages += 1;
        let first = counts.first().copied().flatten();
        if self.pages == 1 {
            let same = counts.iter().all(|count| *count == first);
            self.total = first.filter(|total| more && same && *total >= size);
        } else if self.total.is_some() {
            self.changed |= counts.iter().any(|count| *count != self.total);
        }
    }

    pub(super) fn off(&self) -> Option<Off> {
        let total = self.total?;
        if self.changed {
            return Some(Off::Changed);
        }
        (self.rows != total).then(|| Off::By(self.rows - total))
    }
}

/// How the last lists of Snyk Groups disagreed, and since when in this way.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<HashMap<String, (Off, Moment)>>);

impl Counts {
    pub(super) fn judge(&self, group: &str, tally: &Tally) -> Result<(), UpstreamError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(off) = tally.off() else {
            known.remove(group);
            return Ok(());
        };
        let since = match known.get(group) {
            Some((before, since)) if *before == off => *since,
            _ => Moment::now(),
        };
        known.insert(group.to_owned(), (off, since));
        if since.is_within(APART) {
            return Err(unclear(match off {
                Off::Changed => "the number of memberships changed while they were listed".into(),
                Off::By(by) => format!(
                    "the list of memberships has {} entries, which is {by:+} to the total that Snyk \
                     tells",
                    tally.rows
                ),
            }));
        }
        tracing::warn!(%group, ?off, "Snyk counts memberships otherwise than it lists them");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off(pages: &[&[i64]]) -> Option<Off> {
        let mut tally = Tally::default();
        for (at, page) in pages.iter().enumerate() {
            let counts: Vec<_> = page.iter().map(|count| Some(*count)).collect();
            tally.page(&counts, at + 1 < pages.len());
        }
        tally.off()
    }

    #[test]
    fn a_list_that_is_not_as_long_as_it_says_is_off() {
        assert_eq!(off(&[&[3, 3], &[3]]), None);
        assert_eq!(off(&[&[4, 4], &[4]]), Some(Off::By(-1)));
        assert_eq!(off(&[&[2, 2], &[2]]), Some(Off::By(1)));
        assert_eq!(off(&[&[4, 4], &[3, 3]]), Some(Off::Changed));
        assert_eq!(off(&[&[4, 4], &[4], &[3]]), Some(Off::Changed));
    }

    #[test]
    fn what_may_be_a_count_of_something_else_is_no_total() {
        // Of one page, of each entry another, or of few.
        assert_eq!(off(&[&[7, 7]]), None);
        assert_eq!(off(&[&[3, 2], &[3]]), None);
        assert_eq!(off(&[&[1, 1], &[1]]), None);
        let mut none = Tally::default();
        none.page(&[None, None], true);
        none.page(&[Some(9)], false);
        assert_eq!(none.off(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_off_is_thrown_away_until_that_stays_the_same_for_long() {
        let counts = Counts::default();
        let judge = |pages: &[&[i64]]| {
            let mut tally = Tally::default();
            for (at, page) in pages.iter().enumerate() {
                let of: Vec<_> = page.iter().map(|count| Some(*count)).collect();
                tally.page(&of, at + 1 < pages.len());
            }
            counts.judge("g", &tally).is_ok()
        };
        let (short, whole): (&[&[i64]], &[&[i64]]) = (&[&[4, 4], &[4]], &[&[3, 3], &[3]]);
        assert!(!judge(short) && judge(whole));
        assert!(!judge(short));
        tokio::time::advance(APART).await;
        assert!(!judge(&[&[5, 5], &[5]]), "that is another difference");
        assert!(!judge(short), "and so is this");
        tokio::time::advance(APART * 2).await;
        assert!(judge(short) && judge(short) && judge(whole));
        assert!(!judge(short), "it was whole meanwhile");
    }
}
