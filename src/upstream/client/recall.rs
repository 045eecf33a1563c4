//! What gives access waits for its turn, and may be taken back meanwhile: whoever asks
//! for it says so, and what has not left by then does not.

use std::{cell::Cell, future::Future, sync::Arc};

use async_trait::async_trait;

use super::sent;
use crate::upstream::UpstreamError;

/// What a call is to give.
#[async_trait]
pub trait Wanted: Send + Sync {
    /// Whether all of it is asked for still; right before it is sent.
    async fn is_wanted(&self) -> bool;
    /// Ends when it is not, or when something else is to be sent first.
    async fn is_over(&self);
}

struct Asked {
    wanted: Arc<dyn Wanted>,
    recalled: Cell<bool>,
}

tokio::task_local! {
    static ASKED: Asked;
}

/// Does some work for what is asked for; whether a call was kept back in it, as it is
/// so no more.
pub async fn if_wanted<F: Future>(wanted: Arc<dyn Wanted>, work: F) -> (F::Output, bool) {
    let asked = Asked {
        wanted,
        recalled: Cell::new(false),
    };
    let work = async {
        let output = work.await;
        (output, is_recalled())
    };
    ASKED.scope(asked, work).await
}

/// Whether a call was kept back in this work.
pub fn is_recalled() -> bool {
    ASKED.try_with(|asked| asked.recalled.get()) == Ok(true)
}

/// Waits for the turn of a call, unless it is kept back: one that `writes`, or a look
/// before anything was sent of what is noted together. What was waited for is `unused`
/// then.
pub(crate) async fn unless_recalled<T>(
    writes: bool,
    wait: impl Future<Output = T>,
    unused: impl FnOnce(T),
) -> Result<T, UpstreamError> {
    let asked = ASKED.try_with(|asked| Arc::clone(&asked.wanted)).ok();
    let Some(wanted) = asked.filter(|_| writes || sent::is_unsent()) else {
        return Ok(wait.await);
    };
    let turn = tokio::select! {
        biased;
        () = wanted.is_over() => return Err(recall()),
        turn = wait => turn,
    };
    if writes && !wanted.is_wanted().await {
        unused(turn);
        return Err(recall());
    }
    Ok(turn)
}

fn recall() -> UpstreamError {
    let _ = ASKED.try_with(|asked| asked.recalled.set(true));
    UpstreamError::Later {
        after: None,
        reason: "something else is asked for by now".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicBool, Ordering::SeqCst},
        time::Duration,
    };

    use tokio::sync::Notify;

    use super::*;
    use crate::upstream::noting;

    #[derive(Default)]
    struct Asking {
        unwanted: AtomicBool,
        over: Notify,
    }

    #[async_trait]
    impl Wanted for Asking {
        async fn is_wanted(&self) -> bool {
            !self.unwanted.load(SeqCst)
        }
        async fn is_over(&self) {
            self.over.notified().await;
        }
    }

    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seconds
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_kept_back_and_what_has_its_turn_is_asked_for_once_more() {
        let asking = Arc::new(Asking::default());
        let call = |writes, wait| if_wanted(asking.clone(), unless_recalled(writes, wait, drop));
        assert!(matches!(call(true, after(9)).await, (Ok(9), false)));
        let over = async {
            after(3).await;
            asking.over.notify_one();
        };
        let (kept, ()) = tokio::join!(call(true, after(9)), over);
        assert!(matches!(
            kept,
            (Err(UpstreamError::Later { after: None, .. }), true)
        ));
        asking.unwanted.store(true, SeqCst);
        assert!(matches!(call(true, after(1)).await, (Err(_), true)));
        // Nobody asks.
        assert!(unless_recalled(true, after(1), drop).await.is_ok() && !is_recalled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_is_kept_back_only_where_nothing_has_left_before_it() {
        let asking = Arc::new(Asking::default());
        let look = || unless_recalled(false, pending::<()>(), drop);
        let kept = if_wanted(asking.clone(), noting(look()));
        asking.over.notify_one();
        assert!(matches!(kept.await, ((Err(_), _), true)));
        let looks = noting(async {
            sent::note(crate::upstream::Sent {
                outcome: "done",
                millis: 1,
            });
            asking.over.notify_one();
            tokio::time::timeout(Duration::from_secs(60), look()).await
        });
        let ((looked, _), recalled) = if_wanted(asking.clone(), looks).await;
        assert!(looked.is_err() && !recalled);
        // Elsewhere it is not known what was sent.
        let looks = tokio::time::timeout(Duration::from_secs(60), look());
        assert!(if_wanted(asking.clone(), looks).await.0.is_err());
    }
}
