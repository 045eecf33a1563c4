//! The guard rails inside the transaction: windows that outlive a restart and
//! cost the same whatever went in them, and requests kept once.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::{
    plan::guard::{Deed, Excess, Guard, Moved, Rule},
    store::{Age, HoldId, HoldState, Kept, Request, Room, UserWritten, Watch, Why},
};

mod keys;
mod recovery;

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
            .delete_group(scene.c, group.resource.id, always(), decide, None, at(0))
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
        when: always(),
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
        // Each with eleven ids.
        bytes: 10 + 2 * 11 * 16,
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
    let shown = Excess {
        moved: Moved::default(),
        ..(*excess).clone()
    };
    assert_eq!(again, Kept::Before(one, Box::new(shown)));
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
            watch: Watch::Approved(Arc::default(), hold),
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
async fn what_was_held_without_whom_it_takes_away_is_shown_anew_once() {
    use crate::store::bulk::{Outcome, Unit, Write};
    let scene = Scene::new().await;
    let (hold, group, ids) = held(&scene, 0).await;
    let db = Connection::open(scene.folder.path().join("d.db")).unwrap();
    db.execute(
        "UPDATE held SET target = NULL, takes = NULL, gives = NULL",
        [],
    )
    .unwrap();
    let by = Actor {
        watch: Watch::Approved(Arc::default(), hold),
        ..actor()
    };
    let approve = || {
        let change = Write::ChangeGroup {
            id: group.resource.id,
            when: always(),
            change: remove(&ids[..11]),
        };
        let unit = Unit {
            writes: vec![change],
            needs: Vec::new(),
            closes: Some(hold),
        };
        let done = scene
            .store
            .write_all(scene.c, vec![unit], usize::MAX, by.clone());
        async move { done.await.unwrap().remove(0) }
    };
    let Outcome::Refused(0, WriteError::Held(excess)) = approve().await else {
        panic!("done unseen")
    };
    assert_eq!(excess.anew.as_ref().map(|it| it.takes), Some(11));
    let room = Room { holds: 0, bytes: 0 };
    let request = request(1, "{}");
    let kept = scene
        .store
        .hold(scene.c, HoldId(id(101)), request, *excess, room, by.clone());
    assert!(matches!(kept.await.unwrap(), Kept::Before(same, _) if same == hold));
    assert!(matches!(approve().await, Outcome::Done(_)));
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
