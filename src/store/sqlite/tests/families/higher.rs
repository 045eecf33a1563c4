//! Who is asked for in a lower group, and is shown to be in a higher one.
use std::time::Duration;

use super::*;
use crate::{
    plan::guard::{Guard, Limit, Protected},
    store::{Higher, KEPT, Watch, Why},
};

fn watched(guard: Guard) -> Actor {
    Actor {
        at: 3_000,
        watch: Watch::On(guard.into()),
        ..actor()
    }
}

/// So many may go.
fn most(more_than: u64) -> Guard {
    Guard {
        group_removals: Limit {
            more_than,
            percent: 0,
            within: Duration::from_secs(3600),
        },
        ..Guard::default()
    }
}

fn protecting(users: &[&str], groups: &[&str]) -> Guard {
    let owned = |names: &[&str]| -> Vec<String> {
        let names = names.iter();
        names.map(|it| (*it).to_owned()).collect()
    };
    Guard {
        enabled: false,
        protected: Protected::named(&owned(users), &owned(groups), []),
        ..Guard::default()
    }
}

/// Its pair about the viewers is sent, and the look shows an admin.
async fn judged(roles: &Roles, user: &UserWritten, by: Actor) -> Higher {
    let (store, has) = (&roles.scene.store, "admin".to_owned());
    let higher = store.higher(roles.viewer, user.key, has, by);
    higher.await.unwrap()
}

async fn sent(admins: &[&str], viewers: &[&str]) -> (Roles, Vec<UserWritten>) {
    let (roles, users) = Roles::new(admins, viewers).await;
    for user in &users {
        roles.set(roles.viewer, user, true).await;
    }
    assert!(roles.turn(roles.viewer).await.is_some());
    (roles, users)
}

async fn members(roles: &Roles, group: GroupKey) -> Vec<UserKey> {
    let pairs = roles.scene.store.pairs(group).await.unwrap();
    pairs.iter().map(|pair| pair.principal.user).collect()
}

fn refused(higher: Higher, words: &str) {
    let Higher::Refused(reason) = higher else {
        panic!("{higher:?}")
    };
    assert!(reason.contains(words), "{reason}");
    assert!(reason.ends_with(KEPT), "{reason}");
}

#[tokio::test]
async fn what_nobody_asked_for_or_found_gives_way_and_what_was_found_or_is_asked_for_stays() {
    let (roles, users) = sent(&["bob"], &[]).await;
    let [ann, bob] = &users[..] else { panic!() };
    assert_eq!(judged(&roles, ann, actor()).await, Higher::GivesWay);
    assert_eq!(judged(&roles, bob, actor()).await, Higher::Stays, "found");
    let audit = roles.scene.store.audit(0, 999).await.unwrap();
    let told: Vec<_> = audit.iter().filter(|it| it.action == "give_way").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].resource, Some(ann.resource.id));
    let detail = &told[0].detail;
    assert!(detail.contains("\"former_name\":\"admin\""), "{detail}");
    roles.set(roles.admin, ann, true).await;
    assert_eq!(judged(&roles, ann, actor()).await, Higher::Stays, "asked");
    // It is no Group that is known here.
    let (store, key) = (&roles.scene.store, ann.key);
    let strange = || store.higher(roles.viewer, key, "owner".to_owned(), actor());
    assert_eq!(strange().await, Ok(Higher::Stays), "of what is asked for");
    roles.set(roles.admin, ann, false).await;
    roles.confirm(roles.admin).await;
    assert!(matches!(strange().await, Ok(Higher::Refused(_))));
}

#[tokio::test]
async fn the_guard_counts_it_as_a_removal_and_whoever_keeps_it_took_nothing() {
    let (roles, users) = sent(&[], &[]).await;
    let [ann, bob] = &users[..] else { panic!() };
    let by = || watched(most(1));
    for _ in 0..2 {
        // However often it is said.
        assert_eq!(judged(&roles, ann, by()).await, Higher::GivesWay);
    }
    refused(
        judged(&roles, bob, by()).await,
        "where 1 went in the last hour; at most 1 of 1 may go in that time (group_removals)",
    );
    let (store, has) = (&roles.scene.store, || "admin".to_owned());
    let stays = store.higher_stays(roles.viewer, ann.key, has(), by());
    stays.await.unwrap();
    assert_eq!(judged(&roles, bob, by()).await, Higher::GivesWay);
    refused(judged(&roles, ann, by()).await, "(group_removals)");
}

#[tokio::test]
async fn a_protected_user_stays_and_so_does_whoever_is_in_a_protected_group() {
    let (roles, users) = sent(&[], &[]).await;
    let [ann, bob] = &users[..] else { panic!() };
    let user = || watched(protecting(&["ann@example.com"], &[]));
    refused(judged(&roles, ann, user()).await, "(protected_users)");
    assert_eq!(judged(&roles, bob, user()).await, Higher::GivesWay);
    let group = watched(protecting(&[], &["admin"]));
    refused(judged(&roles, bob, group).await, "(protected_groups");
    let lower = watched(protecting(&[], &["viewer"]));
    assert_eq!(judged(&roles, bob, lower).await, Higher::GivesWay);
    let audit = roles.scene.store.audit(0, 999).await.unwrap();
    let tried = audit.iter().filter(|it| it.action == "refuse_protected");
    assert_eq!(tried.count(), 2);
}

#[tokio::test]
async fn before_the_first_look_it_waits_and_in_recovery_it_stays_and_is_found() {
    let (roles, users) = sent(&[], &[]).await;
    let [ann, bob] = &users[..] else { panic!() };
    let (store, c) = (&roles.scene.store, roles.scene.c);
    let start = async |doubt, looks| {
        let start = store.settle_in(c, "one".to_owned(), doubt, looks, actor());
        start.await.unwrap()
    };
    assert!(start(None, true).await.is_none());
    assert_eq!(judged(&roles, ann, actor()).await, Higher::Waits);
    assert!(start(Some(Why::OlderDatabase), true).await.is_some());
    assert_eq!(judged(&roles, ann, actor()).await, Higher::Stays);
    assert_eq!(members(&roles, roles.admin).await, [ann.key]);
    let pairs = store.pairs(roles.admin).await.unwrap();
    assert!(pairs[0].above && !pairs[0].managed, "{pairs:?}");
    // Of whom that was found it stays.
    store.end_recovery(c, actor()).await.unwrap();
    assert_eq!(judged(&roles, ann, actor()).await, Higher::Stays);
    assert_eq!(judged(&roles, bob, actor()).await, Higher::GivesWay);
}

#[tokio::test]
async fn of_whom_no_answer_came_nothing_is_refused_that_was_asked_for() {
    let (roles, users) = Roles::new(&[], &[]).await;
    let [ann, bob] = &users[..] else { panic!() };
    for user in &users {
        roles.set(roles.viewer, user, true).await;
    }
    roles.add_unheard(roles.viewer).await;
    assert!(roles.turn(roles.viewer).await.is_some());
    assert_eq!(
        judged(&roles, ann, watched(most(0))).await,
        Higher::Stays,
        "too many"
    );
    assert_eq!(members(&roles, roles.admin).await, [ann.key]);
    let one = judged(&roles, bob, watched(most(1))).await;
    assert_eq!(one, Higher::GivesWay);
}

#[tokio::test]
async fn what_was_given_since_what_is_asked_for_was_known_to_be_there_stays_and_is_found() {
    let (roles, users) = sent(&[], &[]).await;
    let ann = &users[0];
    let db = rusqlite::Connection::open(roles.scene.folder.path().join("d.db")).unwrap();
    db.execute("UPDATE memberships SET before = 2, stood = 1", [])
        .unwrap();
    assert_eq!(judged(&roles, ann, actor()).await, Higher::Stays);
    assert_eq!(members(&roles, roles.admin).await, [ann.key]);
}

/// Whoever changes the order asks for nothing.
#[tokio::test]
async fn a_change_of_the_order_makes_nobody_s_wish_of_before_one_of_now() {
    let (roles, users) = Roles::new(&[], &[]).await;
    for user in &users {
        roles.set(roles.viewer, user, true).await;
    }
    let (store, c) = (&roles.scene.store, roles.scene.c);
    roles.confirm(roles.viewer).await;
    let shown = vec![found("admin", 0, &["ann"]), found("viewer", 5, &[])];
    let mark = store.import_mark(i64::MAX).await.unwrap();
    let import = store.import(c, mark, Vec::new(), shown, None, actor());
    assert_eq!(import.await.unwrap().members_new, 1, "a role given by hand");
    assert_eq!(members(&roles, roles.admin).await, [users[0].key]);
    assert!(
        roles.turn(roles.viewer).await.is_some(),
        "all is said again"
    );
    for user in &users {
        assert_eq!(judged(&roles, user, actor()).await, Higher::Stays);
    }
    let both = [users[0].key, users[1].key];
    assert_eq!(members(&roles, roles.admin).await, both);
}

/// Asked for, or found by an import.
#[tokio::test]
async fn what_was_given_since_another_one_of_the_family_was_there_stays_and_is_found() {
    for viewers in [&[][..], &["ann"]] {
        let (roles, users) = Roles::new(&[], viewers).await;
        let (store, c) = (&roles.scene.store, roles.scene.c);
        if viewers.is_empty() {
            roles.set(roles.viewer, &users[0], true).await;
            roles.confirm(roles.viewer).await;
        }
        let shown = vec![
            found("admin", 0, &[]),
            found("viewer", 1, viewers),
            found("guest", 2, &[]),
        ];
        let mark = store.import_mark(i64::MAX).await.unwrap();
        let import = store.import(c, mark, Vec::new(), shown, None, actor());
        import.await.unwrap();
        let groups = store.reconcilable(c, GroupKey(0), 9).await.unwrap();
        let guest = groups.iter().find(|it| it.name == "guest").unwrap().group;
        roles.set(guest, &users[0], true).await;
        assert!(roles.turn(guest).await.is_some());
        let higher = store.higher(guest, users[0].key, "admin".to_owned(), actor());
        assert_eq!(higher.await, Ok(Higher::Stays), "{viewers:?}");
        assert_eq!(members(&roles, roles.admin).await, [users[0].key]);
    }
}

#[tokio::test]
async fn what_an_import_shows_while_less_is_yet_to_be_given_is_no_wish() {
    let (roles, users) = Roles::new(&[], &[]).await;
    for user in &users {
        roles.set(roles.viewer, user, true).await;
    }
    let (store, c) = (&roles.scene.store, roles.scene.c);
    let import = async |mark: ImportMark| {
        let shown = vec![found("admin", 0, &["ann", "bob"]), found("viewer", 1, &[])];
        let import = store.import(c, mark, Vec::new(), shown, None, actor());
        import.await.unwrap().members_new
    };
    let before = store.import_mark(i64::MAX).await.unwrap();
    assert_eq!(import(before).await, 0);
    roles.confirm(roles.viewer).await;
    assert_eq!(import(before).await, 0, "it was read before the call");
    // From now on somebody has given it.
    assert_eq!(import(ImportMark(i64::MAX)).await, 2);
    let above = async || {
        let pairs = store.pairs(roles.admin).await.unwrap();
        let above = pairs.into_iter().filter(|it| it.above && !it.managed);
        above.map(|it| it.principal.user).collect::<Vec<_>>()
    };
    assert_eq!(above().await, [users[0].key, users[1].key]);
    roles.set(roles.viewer, &users[1], false).await;
    assert_eq!(above().await, [users[0].key]);
}
