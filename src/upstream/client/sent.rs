//! What left for an application within some work, for the audit: a call that is
//! tried again, or that is of several requests, is more than one of them.

use std::{cell::RefCell, future::Future};

tokio::task_local! {
    static SENT: RefCell<Vec<Sent>>;
}

/// One request that could change something, and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// In a word.
    pub outcome: &'static str,
    pub millis: u64,
}

/// Does some work, and tells what was sent for it as long as it was in the same
/// task, in the order in which it ended.
pub async fn noting<F: Future>(work: F) -> (F::Output, Vec<Sent>) {
    let work = async {
        let output = work.await;
        (output, SENT.with(RefCell::take))
    };
    SENT.scope(RefCell::default(), work).await
}

pub(super) fn note(sent: Sent) {
    // Elsewhere nobody asks.
    let _ = SENT.try_with(|all| all.borrow_mut().push(sent));
}

#[cfg(test)]
mod tests {
    use super::*;

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
                millis
            })
        };
        let (first, second) = tokio::join!(one(1), one(11));
        assert_eq!(first, (1, vec![sent(1), sent(2)]));
        assert_eq!(second, (11, vec![sent(11), sent(12)]));
        note(sent(5));
        assert_eq!(noting(async {}).await.1, []);
    }
}
