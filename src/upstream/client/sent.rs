//! What left for an application within some work, for the audit: a call that is
//! tried again, or that is of several requests, is more than one of them. And what
//! was taken away by it, whatever the whole came to; and what fault was heard in it,
//! for whoever is to be told why it fails.

use std::{cell::RefCell, future::Future};

tokio::task_local! {
    static NOTED: RefCell<Noted>;
    static FAULT: RefCell<Heard>;
}

/// Of the faults of some work.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Heard {
    /// How the last call ended of which nobody knows what it did.
    pub fault: Option<String>,
    /// Some call was never answered, so that the work may take as long again.
    pub unanswered: bool,
}

/// In the order in which it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Noted {
    pub sent: Vec<Sent>,
    /// Memberships that the application has confirmed to be ended, each of an
    /// account by its id, in a group.
    pub ended: Vec<(String, String)>,
    /// What is left of it for later, and why, in words of this side.
    pub left: Option<String>,
}

/// One request that could change something, and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// In a word.
    pub outcome: &'static str,
    pub millis: u64,
}

/// Does some work, and tells what was noted of it as long as it was in the same task.
pub async fn noting<F: Future>(work: F) -> (F::Output, Noted) {
    let work = async {
        let output = work.await;
        (output, NOTED.with(RefCell::take))
    };
    NOTED.scope(RefCell::default(), work).await
}

// Elsewhere nobody asks.
fn with(note: impl FnOnce(&mut Noted)) {
    let _ = NOTED.try_with(|all| note(&mut all.borrow_mut()));
}

pub(super) fn note(sent: Sent) {
    with(|all| all.sent.push(sent));
}

/// Whether what left is noted here, and nothing has.
pub(super) fn is_unsent() -> bool {
    NOTED.try_with(|all| all.borrow().sent.is_empty()) == Ok(true)
}

pub(in crate::upstream) fn note_ended(account: &str, group: String) {
    with(|all| all.ended.push((account.to_owned(), group)));
}

pub(in crate::upstream) fn note_left(what: String) {
    with(|all| all.left = Some(what));
}

/// Does some work, and tells of its faults.
pub async fn noting_faults<F: Future>(work: F) -> (F::Output, Heard) {
    let work = async {
        let output = work.await;
        (output, FAULT.with(RefCell::take))
    };
    FAULT.scope(RefCell::default(), work).await
}

pub(in crate::upstream) fn note_fault(fault: impl FnOnce() -> String) {
    let _ = FAULT.try_with(|heard| heard.borrow_mut().fault = Some(fault()));
}

pub(super) fn note_unanswered() {
    let _ = FAULT.try_with(|heard| heard.borrow_mut().unanswered = true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_fault_is_told_to_whoever_asks() {
        let work = async || {
            note_fault(|| "one".to_owned());
            noting(async { note_fault(|| "another".to_owned()) }).await;
        };
        let fault = Some("another".to_owned());
        let heard = |unanswered| Heard {
            fault: fault.clone(),
            unanswered,
        };
        assert_eq!(noting_faults(work()).await.1, heard(false));
        let unanswered = async {
            note_unanswered();
            work().await;
        };
        assert_eq!(noting_faults(unanswered).await.1, heard(true));
        note_fault(|| "nobody asks".to_owned());
        note_unanswered();
        assert_eq!(noting_faults(async {}).await.1, Heard::default());
    }

    #[tokio::test]
    async fn each_work_is_told_of_its_own() {
        let sent = |millis| Sent {
            outcome: "done",
            millis,
        };
        let one = |millis| {
            noting(async move {
                note(sent(millis));
                tokio::task::yield_now().await;
                note(sent(millis + 1));
                note_ended("ann", millis.to_string());
                note_left(format!("{millis} are left"));
                millis
            })
        };
        let (first, second) = tokio::join!(one(1), one(11));
        let noted = |millis: u64| Noted {
            sent: vec![sent(millis), sent(millis + 1)],
            ended: vec![("ann".into(), millis.to_string())],
            left: Some(format!("{millis} are left")),
        };
        assert_eq!(first, (1, noted(1)));
        assert_eq!(second, (11, noted(11)));
        note(sent(5));
        assert_eq!(noting(async {}).await.1, Noted::default());
    }
}
