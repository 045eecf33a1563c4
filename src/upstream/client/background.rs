//! Work that nobody waits for. It says so once, around everything it asks of an
//! application, and not in each question: the same reading is urgent for one
//! and not for another. What takes access away stays urgent.
//!
//! Several of its questions may be answered by one reading, which is kept as
//! long as the work lasts. Nobody else sees it, and whoever asks a second time
//! wants to know how it is by then, and is read for anew.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Priority;

tokio::task_local! {
    static BACKGROUND: Shelf;
}

/// Readings by what was read.
#[derive(Default)]
struct Shelf(Mutex<HashMap<String, Reading>>);

struct Reading {
    found: Arc<dyn Any + Send + Sync>,
    /// The questions that it has answered.
    answered: HashSet<String>,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take<T: Send + Sync + 'static>(&self, what: &str, question: &str) -> Option<Arc<T>> {
        let mut shelf = self.lock();
        let reading = shelf.get_mut(what)?;
        let is_new = reading.answered.insert(question.to_owned());
        let found = is_new.then(|| Arc::clone(&reading.found));
        found?.downcast().ok()
    }

    fn put<T: Send + Sync + 'static>(&self, what: &str, question: &str, found: Arc<T>) {
        let reading = Reading {
            found,
            answered: [question.to_owned()].into(),
        };
        self.lock().insert(what.to_owned(), reading);
    }
}

/// Whatever is asked of an application within, as long as it is in the same
/// task, yields to other calls and waits patiently for its turn.
pub async fn in_background<F: Future>(work: F) -> F::Output {
    BACKGROUND.scope(Shelf::default(), work).await
}

/// Whose questions go where removals go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ahead {
    Removal,
    Look,
    /// None: it is behind everything.
    Nobody,
    /// And a part of what takes access away.
    Overdue,
}

tokio::task_local! {
    static AHEAD: Ahead;
}

/// The opposite: whatever is asked within is a part of what takes access away, so
/// it goes where that goes.
pub async fn ahead<F: Future>(work: F) -> F::Output {
    put(Ahead::Removal, work).await
}

/// The same for a look that other removals wait for, as long as the application
/// can be reached: then one call at a time is tried, and that is to be a removal.
pub async fn looking_ahead<F: Future>(work: F) -> F::Output {
    put(Ahead::Look, work).await
}

/// Whatever is asked within failed again and again, so it yields to everything,
/// also where it takes access away; but that is told apart still.
pub async fn behind<F: Future>(work: F) -> F::Output {
    put(Ahead::Nobody, work).await
}

async fn put<F: Future>(place: Ahead, work: F) -> F::Output {
    let before = AHEAD.try_with(|it| *it).ok();
    let place = match (before, place) {
        (Some(Ahead::Nobody), Ahead::Removal) => Ahead::Overdue,
        (Some(before @ (Ahead::Nobody | Ahead::Overdue)), _) => before,
        _ => place,
    };
    AHEAD.scope(place, work).await
}

/// The priority of a call that is made here; `away`: the application cannot be
/// reached.
pub(super) fn or_background(priority: Priority, away: bool) -> Priority {
    let ahead = AHEAD.try_with(|it| *it).ok();
    match ahead {
        Some(Ahead::Nobody) if priority != Priority::Revocation => return Priority::Retry,
        Some(Ahead::Nobody | Ahead::Overdue) => return Priority::Overdue,
        _ => {}
    }
    if ahead == Some(Ahead::Removal) || ahead == Some(Ahead::Look) && !away {
        return Priority::Revocation;
    }
    let in_background = BACKGROUND.try_with(|_| ()).is_ok();
    if in_background && priority == Priority::Ordinary {
        return Priority::Background;
    }
    priority
}

/// Reads, unless what is to be read was read before for another question of
/// the same work. Outside of such work everybody reads for himself.
pub(in crate::upstream) async fn shared<T: Send + Sync + 'static, E>(
    what: &str,
    question: &str,
    read: impl Future<Output = Result<T, E>>,
) -> Result<Arc<T>, E> {
    let before = BACKGROUND.try_with(|shelf| shelf.take(what, question));
    if let Ok(Some(found)) = before {
        return Ok(found);
    }
    let found = Arc::new(read.await?);
    let kept = Arc::clone(&found);
    // Elsewhere there is nowhere to keep it.
    let _ = BACKGROUND.try_with(|shelf| shelf.put(what, question, kept));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Ordinary, Overdue, Retry, Revocation};

    #[tokio::test]
    async fn what_is_done_in_the_background_yields_unless_it_takes_access_away() {
        for away in [false, true] {
            assert_eq!(or_background(Ordinary, away), Ordinary);
            in_background(async {
                assert_eq!(or_background(Ordinary, away), Background);
                assert_eq!(or_background(Revocation, away), Revocation);
            })
            .await;
            assert_eq!(or_background(Ordinary, away), Ordinary);
            ahead(async { assert_eq!(or_background(Ordinary, away), Revocation) }).await;
        }
    }

    #[tokio::test]
    async fn a_look_goes_where_removals_go_and_leaves_them_the_tries_of_who_is_away() {
        looking_ahead(async {
            assert_eq!(or_background(Ordinary, false), Revocation);
            assert_eq!(or_background(Ordinary, true), Ordinary);
            assert_eq!(or_background(Revocation, true), Revocation);
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_behind_everything_stays_there() {
        behind(async {
            for (priority, place) in [
                (Ordinary, Retry),
                (Revocation, Overdue),
                (Background, Retry),
            ] {
                assert_eq!(or_background(priority, false), place);
                ahead(async { assert_eq!(or_background(priority, true), Overdue) }).await;
                looking_ahead(async { assert_eq!(or_background(priority, false), place) }).await;
            }
        })
        .await;
        assert_eq!(or_background(Revocation, false), Revocation);
    }

    #[tokio::test]
    async fn one_reading_answers_each_question_of_the_same_work_once() {
        let readings = std::cell::Cell::new(0);
        let ask = async |question: &str| {
            let read = async {
                readings.set(readings.get() + 1);
                Ok::<u32, ()>(readings.get())
            };
            shared("list", question, read).await.map(|found| *found)
        };
        in_background(async {
            assert_eq!(ask("a").await, Ok(1));
            assert_eq!(ask("b").await, Ok(1));
            assert_eq!(ask("a").await, Ok(2), "a second time is a new reading");
            assert_eq!(ask("b").await, Ok(2), "which is new to others, too");
            assert_eq!(ask("b").await, Ok(3));
        })
        .await;
        in_background(async { assert_eq!(ask("a").await, Ok(4), "other work") }).await;
        assert_eq!(ask("c").await, Ok(5));
        assert_eq!(ask("d").await, Ok(6), "and nothing is kept without any");
    }
}
