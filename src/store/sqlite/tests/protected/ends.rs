//! Whose account appears only after they left: ended within the guard rails, and
//! beyond them at an operator's word.

use std::time::Duration;

use super::{super::guards::at, *};
use crate::{plan::guard::Limit, store::Why};

/// Two accounts may be ended.
fn strict(protected: &[&str]) -> Actor {
    let names: Vec<String> = protected.iter().map(|name| (*name).to_owned()).collect();
    let guard = Guard {
        removals: Limit {
            more_than: 2,
            percent: 1,
            within: Duration::from_secs(3600),
        },
        protected: Protected::named(&names, &[], std::iter::empty()),
        ..Guard::default()
    };
    watched(guard, 3_000)
}

impl Scene {
    /// Posted as somebody inactive; the account is found to be there.
    async fn leaver(&self, name: &str) -> UserKey {
        let mut row = user_row(name);
        row.account.active = false;
        let made = self.store.create_user(self.c, fresh_id(), row, actor());
        let key = made.await.unwrap().key;
        let turn = self.store.begin_user_turn(key).await.unwrap().unwrap();
        assert!(turn.unjudged);
        key
    }

    async fn may_end(&self, user: UserKey, by: Actor) -> Option<String> {
        self.store.may_end(user, by).await.unwrap()
    }

    /// What its turn is told.
    async fn is_told(&self, user: UserKey, reason: Option<String>) {
        let learned = UserLearned {
            again: true,
            refused: reason,
            ..UserLearned::default()
        };
        let end = self.store.end_user_turn(user, learned, 3_000);
        end.await.unwrap();
    }
}

#[tokio::test]
async fn accounts_that_appear_are_ended_as_long_as_the_guard_rails_let_them() {
    let scene = Scene::new().await;
    let mut leavers = Vec::new();
    for name in ["ann", "bob", "cat", "dan"] {
        leavers.push(scene.leaver(name).await);
    }
    let boss = scene
        .may_end(leavers[0], strict(&["ann@example.com"]))
        .await;
    assert_eq!(
        boss.as_deref(),
        Some(crate::store::sqlite::protected::REASON)
    );
    for leaver in &leavers[..2] {
        assert_eq!(scene.may_end(*leaver, strict(&[])).await, None);
    }
    let kept = scene.may_end(leavers[2], strict(&[])).await.unwrap();
    assert!(
        kept.contains("the guard rails let no more be ended"),
        "{kept}"
    );
    let off = watched(Guard::off(), 3_000);
    assert_eq!(scene.may_end(leavers[2], off).await, None);
    assert_eq!(scene.may_end(UserKey(999), strict(&[])).await, None, "gone");
    let began = scene
        .store
        .begin_recovery(scene.c, Why::AnotherTenant, at(3_000));
    assert_eq!(began.await, Ok(true));
    let waits = scene.may_end(leavers[3], strict(&[])).await;
    assert_eq!(
        waits.as_deref(),
        Some(crate::store::sqlite::recovery::WAITS)
    );
}

#[tokio::test]
async fn who_was_kept_is_ended_at_an_operator_s_word_and_not_who_is_protected() {
    let scene = Scene::new().await;
    let mut leavers = Vec::new();
    for name in ["ann", "bob", "cat"] {
        let leaver = scene.leaver(name).await;
        let reason = scene.may_end(leaver, strict(&[])).await;
        assert_eq!(reason.is_some(), name == "cat");
        scene.is_told(leaver, reason).await;
        leavers.push(leaver);
    }
    let protected = scene.store.end_kept(scene.c, strict(&["cat@example.com"]));
    assert_eq!(protected.await.unwrap(), []);
    let ended = scene.store.end_kept(scene.c, strict(&[]));
    assert_eq!(ended.await.unwrap(), [Lane::User(leavers[2])]);
    let turn = scene.store.begin_user_turn(leavers[2]).await.unwrap();
    assert!(!turn.unwrap().unjudged, "not asked about again");
    let again = scene.store.end_kept(scene.c, strict(&[]));
    assert_eq!(again.await.unwrap(), []);
}
