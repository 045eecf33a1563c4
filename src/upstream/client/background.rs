//! Work that nobody waits for. It says so once, around everything it asks of an
//! application, and not in each question: the same reading is urgent for one
//! and not for another. What takes access away stays urgent.

use std::future::Future;

use super::Priority;

tokio::task_local! {
    static BACKGROUND: ();
}

/// Whatever is asked of an application within, as long as it is in the same
/// task, yields to other calls and waits patiently for its turn.
pub async fn in_background<F: Future>(work: F) -> F::Output {
    BACKGROUND.scope((), work).await
}

/// The priority of a call that is made here.
pub(super) fn or_background(priority: Priority) -> Priority {
    let in_background = BACKGROUND.try_with(|()| ()).is_ok();
    if in_background && priority == Priority::Ordinary {
        return Priority::Background;
    }
    priority
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Ordinary, Revocation};

    #[tokio::test]
    async fn what_is_done_in_the_background_yields_unless_it_takes_access_away() {
        assert_eq!(or_background(Ordinary), Ordinary);
        in_background(async {
            assert_eq!(or_background(Ordinary), Background);
            assert_eq!(or_background(Revocation), Revocation);
        })
        .await;
        assert_eq!(or_background(Ordinary), Ordinary);
    }
}
