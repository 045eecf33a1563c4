//! The guard rails inside the transaction: windows that outlive a restart and
//! cost the same whatever went in them, and requests kept once.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::{
    plan::guard::{Deed, Guard, Rule},
    store::{Age, HoldId, HoldState, Kept, Request, Room, UserWritten, Watch, Why},
};

const HOUR: i64 = 3_600_000;

pub(super) fn watched(guard: Guard, at: i64) -> Actor {
    Actor {
        at,
        watch: Watch::On(Arc::new(guard)),
        ..actor()
    }
}

pub(super) fn at(at: i64) -> Actor {
    watched(Guard::default(), at)
}

impl Scene {
    pub(super) async fn crowd(&self, prefix: &str, count: usize) -> Vec<ResourceId> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(self.user(&format!("{prefix}{n}")).await.resource.id);
        }
        ids
    }

    pub(super) async fn change_as(
        &self,
        group: &GroupWritten,
        change: GroupChange,
        actor: Actor,
    ) -> Result<GroupWritten, WriteError> {
        let id = group.resource.id;
        self.store
            .change_group(self.c, id, always(), change, actor)
            .await
    }

    pub(super) async fn deactivate(
        &self,
        id: ResourceId,
        actor: Actor,
    ) -> Result<UserWritten, WriteError> {
        let decide = |stored: &crate::store::StoredUser| {
            let mut row = stored.row.clone();
            row.account.active = false;
            Ok(Some(row))
        };
        self.store
            .change_user(self.c, id, always(), Box::new(decide), actor)
            .await
    }
}

pub(super) fn rule<T: std::fmt::Debug>(done: Result<T, WriteError>) -> Option<Rule> {
    match done {
        Ok(_) => None,
        Err(WriteError::Held(excess)) => Some(excess.over.rule),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_window_outlives_a_restart_and_moves_on_with_the_hour() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 40).await;
    let group = scene.group("dev", &ids).await;
    for (n, id) in ids[..10].iter().enumerate() {
        let n = i64::try_from(n).unwrap();
        let gone = scene.change_as(&group, remove(&[*id]), at(n * 60_000));
        assert_eq!(rule(gone.await), None, "{n}");
    }
    let scene = scene.reopen().await;
    let next = |when| scene.change_as(&group, remove(&ids[10..11]), at(when));
    assert_eq!(rule(next(HOUR - 1).await), Some(Rule::GroupRemovals));
    assert_eq!(scene.members(&group).await.len(), 30, "nothing was changed");
    // The first is an hour ago: there is room for one.
    assert_eq!(rule(next(HOUR).await), None);
    let after = scene.change_as(&group, remove(&ids[11..12]), at(HOUR));
    assert_eq!(rule(after.await), Some(Rule::GroupRemovals));
}

#[tokio::test]
async fn after_the_clock_was_put_back_the_window_still_ends() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 40).await;
    let group = scene.group("dev", &ids).await;
    let day = 24 * HOUR;
    let first = scene.change_as(&group, remove(&ids[..9]), at(2 * day));
    assert_eq!(rule(first.await), None);
    // A day back: what went counts as if it were now, and is over in an hour.
    let second = scene.change_as(&group, remove(&ids[9..10]), at(day));
    assert_eq!(rule(second.await), None);
    let third = |when| scene.change_as(&group, remove(&ids[10..12]), at(when));
    assert_eq!(rule(third(day + 1).await), Some(Rule::GroupRemovals));
    assert_eq!(rule(third(day + HOUR).await), None);
}

#[tokio::test]
async fn writes_that_overtake_each_other_by_a_minute_are_no_clock_that_was_set() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 40).await;
    let group = scene.group("dev", &ids).await;
    for (gone, when) in [(&ids[..5], 60_000), (&ids[5..10], 0)] {
        let gone = scene.change_as(&group, remove(gone), at(when)).await;
        assert_eq!(rule(gone), None);
    }
    // Both count as long as the first.
    let next = |when| scene.change_as(&group, remove(&ids[10..11]), at(when));
    assert_eq!(rule(next(HOUR).await), Some(Rule::GroupRemovals));
    assert_eq!(rule(next(HOUR + 60_000).await), None);
}

#[tokio::test]
async fn removals_at_once_do_not_slip_past_together() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 40).await;
    let group = scene.group("dev", &ids).await;
    let all = ids
        .iter()
        .map(|id| scene.change_as(&group, remove(std::slice::from_ref(id)), at(0)));
    let done = futures_util::future::join_all(all).await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 10);
    assert_eq!(scene.members(&group).await.len(), 30);
}

#[tokio::test]
async fn leavers_and_removals_count_together_in_either_order() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 70).await;
    // Ten at a time of groups that allow it.
    for (n, gone) in ids[..45].chunks(9).enumerate() {
        let group = scene.group(&format!("g{n}"), &ids).await;
        let gone = scene.change_as(&group, remove(gone), at(0)).await;
        assert_eq!(rule(gone), None, "{n}");
    }
    for id in &ids[60..65] {
        assert_eq!(rule(scene.deactivate(*id, at(0)).await), None);
    }
    let more = scene.deactivate(ids[65], at(0)).await;
    assert_eq!(rule(more), Some(Rule::Removals), "fifty in all");
    let later = scene.deactivate(ids[65], at(HOUR)).await;
    assert_eq!(rule(later), None);
}

#[tokio::test]
async fn who_has_no_access_any_more_is_no_removal() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 70).await;
    let group = scene.group("dev", &ids).await;
    for id in &ids[..50] {
        assert_eq!(rule(scene.deactivate(*id, at(0)).await), None);
    }
    let more = scene.deactivate(ids[50], at(0)).await;
    assert_eq!(rule(more), Some(Rule::Removals));
    // Their memberships end by the way, however many they are.
    let emptied = scene.change_as(&group, remove(&ids[..50]), at(0));
    assert_eq!(rule(emptied.await), None);
    let next = scene.change_as(&group, remove(&ids[50..51]), at(0)).await;
    assert_eq!(rule(next), Some(Rule::Removals), "leavers count for others");
}

#[tokio::test]
async fn a_deleted_user_is_a_leaver_and_a_deleted_group_a_removal_of_all() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 12).await;
    let large = scene.group("large", &ids[..10]).await;
    let small = scene.group("small", &ids[..9]).await;
    let delete = |group: &GroupWritten| {
        let decide = Box::new(|_: &crate::store::StoredGroup| Ok(None));
        scene
            .store
            .delete_group(scene.c, group.resource.id, always(), decide, at(0))
    };
    let Err(WriteError::Held(excess)) = delete(&large).await else {
        panic!("not held")
    };
    assert_eq!(excess.over.rule, Rule::EmptyFrom);
    assert_eq!(excess.effect.act, Deed::Delete);
    let mut named = excess.effect.removes;
    named.sort_unstable();
    assert_eq!(named, ids[..10], "the plan names who loses what");
    assert!(delete(&small).await.is_ok());
    let gone = scene.store.delete_user(scene.c, ids[0], always(), at(0));
    assert!(gone.await.is_ok());
}

fn request(n: u8, body: &str) -> Request {
    Request {
        method: "PATCH".into(),
        of: ResourceType::Group,
        id: id(7),
        body: body.into(),
        digest: [n; 32],
    }
}

#[tokio::test]
async fn the_same_request_is_kept_once_and_no_more_than_there_is_room_for() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 20).await;
    let group = scene.group("dev", &ids).await;
    let gone = scene.change_as(&group, remove(&ids[..11]), at(0)).await;
    let Err(WriteError::Held(excess)) = gone else {
        panic!("not held")
    };
    let room = Room {
        holds: 2,
        bytes: 10,
    };
    let keep = |n, body: &str| {
        let hold = HoldId(id(100 + u64::from(n)));
        let kept = scene.store.hold(
            scene.c,
            hold,
            request(n, body),
            (*excess).clone(),
            room,
            at(0),
        );
        async move { (kept.await.unwrap(), hold) }
    };
    let (first, one) = keep(1, "1234").await;
    assert_eq!(first, Kept::New(one));
    let again = keep(1, "1234").await.0;
    assert_eq!(again, Kept::Before(one, excess.clone()));
    assert_eq!(
        keep(2, "1234567").await.0,
        Kept::NoRoom,
        "too large together"
    );
    let (second, two) = keep(2, "123456").await;
    assert_eq!(second, Kept::New(two));
    assert_eq!(keep(3, "").await.0, Kept::NoRoom, "too many");
}

#[tokio::test]
async fn users_are_counted_as_they_come_and_go() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 5).await;
    let gone = scene.store.delete_user(scene.c, ids[0], always(), actor());
    gone.await.unwrap();
    let db = Connection::open(scene.folder.path().join("d.db")).unwrap();
    let counts: (i64, i64) = db
        .query_row(
            "SELECT users, (SELECT count(*) FROM users WHERE tombstone IS NULL) FROM connections",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(counts, (4, 4));
}

/// Steps of the database's machine for the look at a window.
fn steps(db: &Connection, guard: &Guard) -> i32 {
    use crate::store::sqlite::removals::{Place, STATEMENTS, history};
    let sum = |reset| -> i32 {
        let one = |sql: &&str| {
            let statement = db.prepare_cached(sql).unwrap();
            let steps = statement.get_status(StatementStatus::VmStep);
            if reset {
                statement.reset_status(StatementStatus::VmStep);
            }
            steps
        };
        STATEMENTS.iter().map(one).sum()
    };
    sum(true);
    let place = Place {
        connection: 1,
        group: Some((1, 100)),
    };
    history(db, guard, place, HOUR).unwrap();
    sum(false)
}

#[test]
fn the_cost_of_a_window_does_not_follow_what_went_in_it() {
    use crate::plan::guard::{Limit, Taking};
    use crate::store::sqlite::removals::{Place, history, record};
    let db = Connection::open_in_memory().unwrap();
    crate::store::sqlite::migrate::migrate(&db, crate::store::sqlite::migrate::STEPS).unwrap();
    db.execute_batch("INSERT INTO connections (key, name) VALUES (1, 'acme')")
        .unwrap();
    let limit = Limit {
        more_than: 1_000_000,
        percent: 100,
        within: Duration::from_hours(1),
    };
    let guard = Guard {
        group_removals: limit,
        removals: limit,
        ..Guard::default()
    };
    let place = Place {
        connection: 1,
        group: Some((1, 100)),
    };
    let taking = Taking::Members {
        going: 1,
        size: 100,
        left: 99,
    };
    for at in 0..10 {
        record(&db, &guard, place, (taking, &[]), at).unwrap();
    }
    let few = steps(&db, &guard);
    for at in 10..10_000 {
        record(&db, &guard, place, (taking, &[]), at).unwrap();
    }
    let many = steps(&db, &guard);
    assert!(few > 0 && many <= few + few / 4, "{few} and {many}");
    let seen = history(&db, &guard, place, 3_000).unwrap();
    assert_eq!(
        (seen.from_group, seen.from_all, seen.leavers),
        (10_000, 10_000, 0)
    );
    let seen = history(&db, &guard, place, HOUR + 8_999).unwrap();
    assert_eq!((seen.from_group, seen.from_all), (1_000, 1_000));
}

/// A hold for a removal of eleven, with the group it is from.
async fn held(scene: &Scene, at_time: i64) -> (HoldId, GroupWritten, Vec<ResourceId>) {
    let ids = scene.crowd("m", 20).await;
    scene.group("other", &ids).await;
    let group = scene.group("dev", &ids).await;
    let gone = scene.change_as(&group, remove(&ids[..11]), at(at_time));
    let Err(WriteError::Held(excess)) = gone.await else {
        panic!("not held")
    };
    let room = Room {
        holds: 10,
        bytes: 1_000,
    };
    let hold = HoldId(id(100));
    let kept = scene
        .store
        .hold(scene.c, hold, request(1, "{}"), *excess, room, at(at_time));
    assert_eq!(kept.await.unwrap(), Kept::New(hold));
    (hold, group, ids)
}

#[tokio::test]
async fn a_hold_is_closed_with_the_write_that_does_it_or_not_at_all() {
    use crate::store::bulk::{Outcome, Unit, Write};
    let scene = Scene::new().await;
    let (hold, group, ids) = held(&scene, 0).await;
    let approve = |change: GroupChange| {
        let by = Actor {
            watch: Watch::Approved(Arc::default()),
            ..actor()
        };
        let unit = Unit {
            writes: vec![Write::ChangeGroup {
                id: group.resource.id,
                when: always(),
                change,
            }],
            needs: Vec::new(),
            closes: Some(hold),
        };
        let done = scene.store.write_all(scene.c, vec![unit], usize::MAX, by);
        async move { done.await.unwrap().remove(0) }
    };
    let refused = approve(add(&[id(9_999)])).await;
    assert!(matches!(
        refused,
        Outcome::Refused(0, WriteError::UnknownMembers(_))
    ));
    let state = |held: Option<(crate::store::Hold, Request)>| held.unwrap().0.state;
    let look = || scene.store.held(scene.c, hold);
    assert_eq!(state(look().await.unwrap()), HoldState::Open);
    let done = approve(remove(&ids[..11])).await;
    assert!(matches!(done, Outcome::Done(_)));
    let (closed, request) = look().await.unwrap().unwrap();
    assert_eq!(closed.state, HoldState::Approved);
    assert_eq!(closed.decided, Some((1_000, "test".to_owned())));
    assert_eq!(
        request.body, "",
        "the body is kept no longer than it is needed"
    );
    let again = approve(remove(&ids[11..])).await;
    let decided = WriteError::Decided(HoldState::Approved);
    assert_eq!(again, Outcome::Refused(0, decided));
    assert_eq!(scene.members(&group).await.len(), 9);
}

#[tokio::test]
async fn what_nobody_decides_is_dropped_and_forgotten_later() {
    let scene = Scene::new().await;
    let (hold, _, _) = held(&scene, 1_000).await;
    let expire = |before, forgotten, now| {
        let dropped = scene
            .store
            .expire_holds(scene.c, before, forgotten, at(now));
        async move { dropped.await.unwrap() }
    };
    assert_eq!(expire(999, 0, 2_000).await, 0);
    assert_eq!(expire(1_000, 0, 2_000).await, 1);
    let all = scene.store.holds(scene.c, false, 10).await.unwrap();
    assert_eq!(all[0].state, HoldState::Expired);
    assert!(
        scene
            .store
            .holds(scene.c, true, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let rejected = scene.store.reject(scene.c, hold, at(3_000)).await;
    assert_eq!(rejected, Ok(Some(HoldState::Expired)));
    assert_eq!(expire(1_000, 2_000, 4_000).await, 0);
    assert_eq!(scene.store.held(scene.c, hold).await, Ok(None));
}

#[tokio::test]
async fn while_a_large_removal_waits_the_small_ones_after_it_wait_too() {
    let scene = Scene::new().await;
    let (hold, group, ids) = held(&scene, 1_000).await;
    let next = |when| scene.change_as(&group, remove(&ids[..1]), at(when));
    assert_eq!(rule(next(1_001).await), Some(Rule::Waiting));
    let rejected = scene.store.reject(scene.c, hold, at(1_002)).await;
    assert_eq!(rejected, Ok(Some(HoldState::Open)));
    assert_eq!(rule(next(1_003).await), None);
}

#[tokio::test]
async fn recovery_withholds_what_was_about_to_go_and_nothing_else() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(scene.member(name).await.resource.id);
    }
    let group = scene.settled_group("dev", &ids).await;
    let other = scene.settled_group("old", &ids).await;
    scene.change(&group, remove(&ids[..1])).await.unwrap();
    let decide = Box::new(|_: &crate::store::StoredGroup| Ok(None));
    let deleted = scene
        .store
        .delete_group(scene.c, other.resource.id, always(), decide, actor());
    deleted.await.unwrap();
    let settle = |address: &str, doubt| {
        let settled = scene
            .store
            .settle_in(scene.c, address.to_owned(), doubt, true, at(5_000));
        async move { settled.await.unwrap().map(|it| it.why) }
    };
    assert_eq!(settle("one", None).await, None);
    assert_eq!(settle("one", None).await, None);
    assert_eq!(settle("two", None).await, Some(Why::AnotherApplication));
    // It has begun, and its reason stays what it was.
    let doubt = Some(Why::OlderDatabase);
    assert_eq!(settle("two", doubt).await, Some(Why::AnotherApplication));
    let turn = |key| scene.store.begin_group_turn(key, 100);
    assert_eq!(turn(group.key).await, Ok(None));
    assert_eq!(turn(other.key).await, Ok(None));
    let one = scene.change_as(&group, remove(&ids[1..2]), at(6_000)).await;
    assert_eq!(rule(one), Some(Rule::Recovery));
    // Somebody who leaves now leaves.
    let gone = scene
        .store
        .delete_user(scene.c, ids[2], always(), at(6_000));
    gone.await.unwrap();
    let leaving = turn(group.key).await.unwrap().unwrap().work;
    let named: Vec<_> = leaving.removes.iter().map(|one| one.id).collect();
    assert_eq!(named, ids[2..]);
    let lanes = scene.store.end_recovery(scene.c, at(7_000)).await.unwrap();
    let lanes = lanes.unwrap();
    assert!(lanes.contains(&Lane::Group(group.key)) && lanes.contains(&Lane::Group(other.key)));
    let work = turn(group.key).await.unwrap().unwrap().work;
    assert!(work.removes.iter().any(|one| one.id == ids[0]));
    assert!(turn(other.key).await.unwrap().is_some());
    assert_eq!(scene.store.end_recovery(scene.c, at(8_000)).await, Ok(None));
}

#[tokio::test]
async fn before_the_application_was_seen_only_who_leaves_is_taken_out() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(scene.member(name).await.resource.id);
    }
    let group = scene.settled_group("dev", &ids).await;
    let other = scene.settled_group("old", &ids).await;
    let start = |looks| {
        let name = "one".to_owned();
        scene.store.settle_in(scene.c, name, None, looks, at(5_000))
    };
    assert_eq!(start(true).await, Ok(None));
    let decide = Box::new(|_: &crate::store::StoredGroup| Ok(None));
    let deleted = scene
        .store
        .delete_group(scene.c, other.resource.id, always(), decide, actor());
    deleted.await.unwrap();
    scene.change(&group, remove(&ids[..1])).await.unwrap();
    let gone = scene
        .store
        .delete_user(scene.c, ids[2], always(), at(6_000));
    gone.await.unwrap();
    let turn = |key| scene.store.begin_group_turn(key, 100);
    assert_eq!(turn(other.key).await, Ok(None));
    let leaving = turn(group.key).await.unwrap().unwrap();
    let named: Vec<_> = leaving.work.removes.iter().map(|one| one.id).collect();
    assert_eq!(named, ids[2..]);
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(true));

    let lanes = scene.store.note_seen(scene.c).await.unwrap();
    assert!(lanes.contains(&Lane::Group(group.key)) && lanes.contains(&Lane::Group(other.key)));
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(false));
    let work = turn(group.key).await.unwrap().unwrap().work;
    assert!(work.removes.iter().any(|one| one.id == ids[0]));
    assert_eq!(scene.store.note_seen(scene.c).await, Ok(Vec::new()));
    // A start that does not look waits for none; recovery waits for an operator.
    assert_eq!(start(false).await, Ok(None));
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(false));
    start(true).await.unwrap();
    assert!(matches!(
        scene.store.end_recovery(scene.c, at(7_000)).await,
        Ok(Some(_))
    ));
    start(true).await.unwrap();
    let began = scene
        .store
        .begin_recovery(scene.c, Why::TooMuchDrift, at(8_000));
    assert_eq!(began.await, Ok(true));
    assert_eq!(scene.store.is_unseen(scene.c).await, Ok(false));
}

#[tokio::test]
async fn a_first_import_of_members_begins_recovery_and_a_later_one_does_not() {
    let scene = Scene::new().await;
    let begins = |members| scene.store.begin_first_import(scene.c, members, at(0));
    assert_eq!(begins(0).await, Ok(false));
    assert_eq!(begins(1).await, Ok(true));
    scene.store.end_recovery(scene.c, at(0)).await.unwrap();
    let mark = scene.store.import_mark(0).await.unwrap();
    let import = scene
        .store
        .import(scene.c, mark, Vec::new(), Vec::new(), None, actor());
    import.await.unwrap();
    assert_eq!(begins(1).await, Ok(false));
}

#[tokio::test]
async fn an_older_copy_another_database_and_a_lost_note_are_seen() {
    let scene = Scene::new().await;
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));
    scene.user("ann").await;
    scene.store.note_age(0).await.unwrap();
    let scene = scene.reopen().await;
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));
    let db = scene.folder.path().join("d.db");
    let note = scene.folder.path().join("d.db.mark");
    let noted = std::fs::read_to_string(&note).unwrap();
    let ahead = noted.replace("\"audit\":1", "\"audit\":2");
    assert_ne!(noted, ahead);
    std::fs::write(&note, ahead).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Older));
    let elsewhere = noted.replace("\"chain\":\"", "\"chain\":\"00");
    assert_ne!(noted, elsewhere);
    std::fs::write(&note, elsewhere).unwrap();
    assert_eq!(
        scene.store.age(id(1), 0).await,
        Ok(Age::Older),
        "gone on elsewhere"
    );
    let plain = format!("{},\"audit\":1}}", noted.split_once(",\"audit").unwrap().0);
    std::fs::write(&note, plain).unwrap();
    assert_eq!(
        scene.store.age(id(1), 0).await,
        Ok(Age::AsItWas),
        "an older note"
    );
    let ahead = noted.replace("\"audit\":1", "\"audit\":2");
    std::fs::write(&note, ahead).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Older));
    // Seen until it is noted anew.
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Older));
    scene.store.note_age(0).await.unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));
    std::fs::remove_file(&note).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Unknown));
    std::fs::write(&note, &noted).unwrap();
    let Scene { folder, store, .. } = scene;
    drop(store);
    std::fs::remove_file(db).unwrap();
    let _ = std::fs::remove_file(folder.path().join("d.db-wal"));
    let store = crate::store::open(&folder.path().join("d.db")).unwrap();
    assert_eq!(store.age(id(2), 0).await, Ok(Age::Another));
}

/// Neither a name, nor who may read it, nor how often it was written makes a copy.
#[tokio::test]
async fn a_note_that_was_copied_is_seen_and_one_that_was_moved_is_not() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let scene = Scene::new().await;
    let note = scene.folder.path().join("d.db.mark");
    let aside = scene.folder.path().join("aside");
    scene.store.age(id(1), 0).await.unwrap();
    for name in ["ann", "bob"] {
        scene.user(name).await;
        scene.store.note_age(0).await.unwrap();
    }
    fs::rename(&note, &aside).unwrap();
    fs::rename(&aside, &note).unwrap();
    fs::set_permissions(&note, fs::Permissions::from_mode(0o640)).unwrap();
    let scene = scene.reopen().await;
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));

    fs::copy(&note, &aside).unwrap();
    fs::rename(&aside, &note).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Copied));
    // Seen until it is noted anew.
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Copied));
    scene.store.note_age(0).await.unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));

    // An older note's text in the file of a later one.
    let earlier = fs::read(&note).unwrap();
    scene.user("eve").await;
    scene.store.note_age(0).await.unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::AsItWas));
    fs::write(&note, earlier).unwrap();
    assert_eq!(scene.store.age(id(1), 0).await, Ok(Age::Copied));
}

#[tokio::test]
async fn many_removals_that_wait_since_long_ago_are_doubted_and_a_few_are_not() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for n in 0..12 {
        ids.push(scene.member(&format!("m{n}")).await.resource.id);
    }
    let group = scene.settled_group("dev", &ids).await;
    let age = |now| scene.store.age(id(1), now);
    assert_eq!(age(0).await, Ok(Age::AsItWas));
    scene.store.note_age(1_000).await.unwrap();
    assert_eq!(age(HOUR).await, Ok(Age::AsItWas));
    assert_eq!(age(2 * HOUR).await, Ok(Age::LongStopped));
    // A bridge that runs is told by its note, though nothing has changed.
    scene.store.note_age(2 * HOUR).await.unwrap();
    assert_eq!(age(2 * HOUR).await, Ok(Age::AsItWas));
    // A clock that was put back says nothing.
    assert_eq!(age(HOUR).await, Ok(Age::AsItWas));

    let start = async || {
        let doubt = Some(Why::LongStopped);
        let settled = scene
            .store
            .settle_in(scene.c, "one".to_owned(), doubt, false, at(5_000));
        settled.await.unwrap().map(|it| it.why)
    };
    assert_eq!(start().await, None);
    scene.change(&group, remove(&ids[..10])).await.unwrap();
    assert_eq!(start().await, None);
    scene.change(&group, remove(&ids[10..11])).await.unwrap();
    assert_eq!(start().await, Some(Why::LongStopped));
    let turn = scene.store.begin_group_turn(group.key, 100);
    assert_eq!(turn.await, Ok(None));
}
