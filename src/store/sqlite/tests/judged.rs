//! What a write takes away, as the guard rails see it inside the transaction:
//! roles and names besides access and memberships, and the same write when it is
//! only asked what it would do (reliability: G-2, G-5, G-10).

use std::sync::Arc;

use super::{
    guards::{at, rule, watched},
    protected::protecting,
    *,
};
use crate::{
    plan::guard::{Deed, Guard, Limit, Protected, Protection, Rehearsal, Roles, Rule},
    store::{StoredUser, Watch},
};

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

/// So many may go in an hour, and a boss is more than a user.
fn strict(more_than: u64, protected: &[&str]) -> Guard {
    let names: Vec<String> = protected.iter().map(|name| (*name).to_owned()).collect();
    Guard {
        removals: Limit {
            more_than,
            percent: 0,
            within: HOUR,
        },
        protected: Protected::named(&names, &[], []),
        roles: Roles::new(Some("user"), &[("boss", &["user"]), ("user", &[])]),
        ..Guard::default()
    }
}

impl Scene {
    async fn edit(
        &self,
        id: ResourceId,
        edit: impl Fn(&mut UserRow) + Send + Sync + 'static,
        by: Actor,
    ) -> Result<UserWritten, WriteError> {
        let decide = move |stored: &StoredUser| {
            let mut row = stored.row.clone();
            edit(&mut row);
            Ok(Some(row))
        };
        self.store
            .change_user(self.c, id, always(), Box::new(decide), by)
            .await
    }

    async fn role(&self, id: ResourceId, role: &str, by: Actor) -> Result<UserWritten, WriteError> {
        let role = role.to_owned();
        let edit = move |row: &mut UserRow| row.account.role = Some(role.clone());
        self.edit(id, edit, by).await
    }
}

fn stopped<T: std::fmt::Debug>(done: Result<T, WriteError>) -> Protection {
    match done {
        Err(WriteError::Protected(what)) => what,
        other => panic!("{other:?}"),
    }
}

fn rehearsed<T: std::fmt::Debug>(done: Result<T, WriteError>) -> Rehearsal {
    match done {
        Err(WriteError::Rehearsed(what)) => *what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lower_role_counts_as_taken_away_once_for_each_user() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 4).await;
    let by = || watched(strict(2, &[]), 0);
    for id in &ids {
        assert_eq!(rule(scene.role(*id, "boss", by()).await), None);
    }
    for _ in 0..3 {
        assert_eq!(rule(scene.role(ids[0], "user", by()).await), None);
        assert_eq!(rule(scene.role(ids[0], "boss", by()).await), None);
    }
    assert_eq!(rule(scene.role(ids[1], "user", by()).await), None);
    let held = scene.role(ids[2], "user", by()).await;
    let Err(WriteError::Held(excess)) = held else {
        panic!("{held:?}")
    };
    assert_eq!((excess.over.rule, excess.over.taken), (Rule::Removals, 2));
    assert_eq!((excess.effect.id, excess.effect.act), (ids[2], Deed::Lower));
    // Who leaves is the first to do so, and who has no access loses no role.
    assert_eq!(rule(scene.deactivate(ids[2], by()).await), None);
    assert_eq!(rule(scene.role(ids[2], "user", by()).await), None);
    let more = scene.deactivate(ids[3], by()).await;
    assert_eq!(rule(more), Some(Rule::Removals));
    // Nor does who comes back with less than there was before.
    scene.role(ids[2], "boss", by()).await.unwrap();
    let back = |row: &mut UserRow| {
        row.account.active = true;
        row.account.role = Some("user".to_owned());
    };
    assert_eq!(rule(scene.edit(ids[2], back, by()).await), None);
}

#[tokio::test]
async fn what_goes_from_two_groups_and_with_a_role_is_three_things() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 3).await;
    let by = || watched(strict(3, &[]), 0);
    scene.role(ids[0], "boss", by()).await.unwrap();
    let (dev, ops) = (
        scene.group("dev", &ids).await,
        scene.group("ops", &ids).await,
    );
    for group in [&dev, &ops] {
        let gone = scene.change_as(group, remove(&ids[..1]), by()).await;
        assert_eq!(rule(gone), None);
    }
    assert_eq!(rule(scene.role(ids[0], "user", by()).await), None);
    let more = scene.change_as(&ops, remove(&ids[1..2]), by()).await;
    assert_eq!(rule(more), Some(Rule::Removals));
}

#[tokio::test]
async fn as_each_hour_ends_one_more_may_leave() {
    const HALF: i64 = 1_800_000;
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 5).await;
    for (n, when, over) in [
        (0, 0, None),
        (1, HALF, None),
        (2, HALF, Some(Rule::Removals)),
        (2, 2 * HALF, None),
        (3, 2 * HALF, Some(Rule::Removals)),
        (3, 3 * HALF, None),
    ] {
        let left = scene.deactivate(ids[n], watched(strict(2, &[]), when));
        assert_eq!(rule(left.await), over, "{n} at {when}");
    }
}

#[tokio::test]
async fn the_share_of_all_users_may_leave_where_that_is_more() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 10).await;
    let by = || {
        let mut guard = strict(2, &[]);
        guard.removals.percent = 50;
        watched(guard, 0)
    };
    for id in &ids[..5] {
        assert_eq!(rule(scene.deactivate(*id, by()).await), None);
    }
    let more = scene.deactivate(ids[5], by()).await;
    assert_eq!(rule(more), Some(Rule::Removals));
}

#[tokio::test]
async fn a_leaver_whom_the_application_keeps_is_no_leaver_beside_what_others_lost() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 5).await;
    let by = || watched(strict(3, &[]), 0);
    let group = scene.group("dev", &ids).await;
    let gone = |n: usize| scene.change_as(&group, remove(&ids[n..=n]), by());
    assert_eq!(rule(gone(0).await), None);
    let left = scene.deactivate(ids[1], by()).await.unwrap();
    assert_eq!(rule(gone(2).await), None);
    let (version, before) = (left.resource.meta.version, left.before);
    let restored = scene.store.restore_user(left.key, version, before, by());
    restored.await.unwrap();
    assert_eq!(rule(gone(3).await), None);
    // There is no room, but for who is the only one to leave.
    assert_eq!(rule(scene.deactivate(ids[4], by()).await), None);
}

#[tokio::test]
async fn what_went_while_there_were_no_limits_is_not_counted() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 40).await;
    let group = scene.group("dev", &ids).await;
    let off = protecting(&["nobody"], &[], &[]);
    let gone = scene.change_as(&group, remove(&ids[..20]), off).await;
    assert_eq!(rule(gone), None);
    let gone = scene.change_as(&group, remove(&ids[20..30]), at(0)).await;
    assert_eq!(rule(gone), None);
}

#[tokio::test]
async fn who_leaves_with_a_lower_role_leaves() {
    let scene = Scene::new().await;
    let id = scene.crowd("m", 1).await[0];
    let by = || watched(strict(0, &[]), 0);
    scene.role(id, "boss", by()).await.unwrap();
    let leave = |row: &mut UserRow| {
        row.account.active = false;
        row.account.role = Some("user".to_owned());
    };
    let held = scene.edit(id, leave, by()).await;
    let Err(WriteError::Held(excess)) = held else {
        panic!("{held:?}")
    };
    assert_eq!(excess.effect.act, Deed::Deactivate);
}

#[tokio::test]
async fn who_is_protected_keeps_the_role_and_a_name_by_which_that_is_known() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 2).await;
    let by = || watched(strict(2, &["m0", "m0@example.com", "other"]), 0);
    scene.role(ids[0], "boss", by()).await.unwrap();
    let lower = scene.role(ids[0], "user", by()).await;
    assert_eq!(stopped(lower), Protection::Role(ids[0]));
    let name = |name: &'static str, account: &'static str| {
        move |row: &mut UserRow| {
            row.attributes = serde_json::from_value(json!({ "userName": name })).unwrap();
            row.account_key = Some(account.to_owned());
        }
    };
    let renamed = scene.edit(ids[0], name("x", "x@example.com"), by()).await;
    let user = ResourceType::User;
    assert_eq!(stopped(renamed), Protection::Renamed(user, ids[0]));
    for kept in [name("x", "m0@example.com"), name("Other", "y@example.com")] {
        scene.edit(ids[0], kept, by()).await.unwrap();
    }
    // Nobody else is held to a name.
    let free = name("z", "z@example.com");
    scene.edit(ids[1], free, by()).await.unwrap();
    // Who was deactivated before stays as long as anybody.
    scene.deactivate(ids[0], actor()).await.unwrap();
    let gone = scene.store.delete_user(scene.c, ids[0], always(), by());
    assert_eq!(stopped(gone.await), Protection::User(ids[0]));
}

#[tokio::test]
async fn a_protected_group_is_not_renamed_into_one_that_keeps_fewer() {
    let scene = Scene::new().await;
    let row = |name: &str| GroupRow {
        upstream_name: "x1".into(),
        ..group_row(name)
    };
    let made = scene
        .store
        .create_group(scene.c, id(9), row("Adm"), vec![], false, actor());
    let group = made.await.unwrap();
    let rename = |name: &'static str, by| {
        let decide = move |_: &crate::store::StoredGroup| Ok(Some(row(name)));
        let change = GroupChange {
            decide: Box::new(decide),
            ..change(vec![])
        };
        scene.change_as(&group, change, by)
    };
    let by = || protecting(&[], &[], &[("adm", 2), ("ops", 1), ("root", 3)]);
    let refused = Protection::Renamed(ResourceType::Group, id(9));
    for name in ["other", "ops"] {
        assert_eq!(stopped(rename(name, by()).await), refused);
    }
    let users = protecting(&["adm"], &[], &[]);
    for (name, by) in [("adm", by()), ("root", by()), ("dev", users)] {
        rename(name, by).await.unwrap();
    }
}

#[tokio::test]
async fn a_rehearsal_tells_what_would_be_done_and_does_nothing() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 30).await;
    let group = scene.group("dev", &ids[..20]).await;
    let by = || Actor {
        watch: Watch::Rehearsed(Arc::new(strict(2, &[]))),
        ..actor()
    };
    let lane = |change| scene.change_as(&group, change, by());
    let plan = rehearsed(lane(add(&ids[20..23])).await);
    assert_eq!((plan.effect.added, plan.effect.removed), (3, 0));
    assert_eq!((plan.effect.act, plan.effect.left), (Deed::Change, 23));
    assert_eq!((&plan.effect.adds[..], plan.over), (&ids[20..23], None));
    let plan = rehearsed(lane(remove(&ids[..11])).await);
    assert_eq!((plan.effect.added, plan.effect.removed), (0, 11));
    assert_eq!(
        (&plan.effect.removes[..], plan.effect.left),
        (&ids[..11], 9)
    );
    let over = plan.over.unwrap();
    assert_eq!((over.rule, over.size), (Rule::GroupRemovals, 20));

    let plan = rehearsed(scene.delete_group(&group, by()).await);
    assert_eq!((plan.effect.act, plan.effect.removed), (Deed::Delete, 20));
    assert_eq!((plan.effect.removes.len(), plan.effect.left), (20, 0));
    assert_eq!(plan.over.unwrap().rule, Rule::EmptyFrom);

    let plan = rehearsed(scene.deactivate(ids[0], by()).await);
    assert_eq!((plan.effect.act, plan.over), (Deed::Deactivate, None));
    let gone = scene.store.delete_user(scene.c, ids[0], always(), by());
    let plan = rehearsed(gone.await);
    assert_eq!((plan.effect.act, plan.effect.id), (Deed::Delete, ids[0]));
    // What takes nothing away is told, too.
    let plan = rehearsed(scene.role(ids[0], "boss", by()).await);
    assert_eq!((plan.effect.act, plan.over), (Deed::Change, None));
    assert_eq!(scene.members(&group).await, ids[..20]);
}

#[tokio::test]
async fn a_group_whose_last_active_member_goes_is_emptied_though_others_stay_listed() {
    let scene = Scene::new().await;
    let ids = scene.crowd("m", 12).await;
    let group = scene.group("dev", &ids).await;
    for id in &ids[1..] {
        scene.deactivate(*id, actor()).await.unwrap();
    }
    // Those who left long ago may go without the last, and the last not at all.
    let last = scene.change_as(&group, remove(&ids[..1]), at(0)).await;
    assert_eq!(rule(last), Some(Rule::EmptyFrom));
    let others = scene.change_as(&group, remove(&ids[1..6]), at(0)).await;
    assert_eq!(rule(others), None);
    assert_eq!(scene.members(&group).await.len(), 7);
}

#[tokio::test]
async fn what_was_tried_at_what_is_protected_is_written_down() {
    let scene = Scene::new().await;
    let user = ResourceType::User;
    let tried = [
        (Protection::User(id(1)), "user"),
        (Protection::Role(id(2)), "role"),
        (Protection::Renamed(user, id(3)), "renamed"),
        (Protection::Group(id(4)), "group"),
        (Protection::Least(id(5), 2), "least_members"),
    ];
    for (what, _) in tried {
        let note = scene.store.note_protected(scene.c, what, actor());
        note.await.unwrap();
    }
    let rows = scene.store.audit(0, 100).await.unwrap();
    let noted = rows.iter().filter(|row| row.action == "refuse_protected");
    let noted: Vec<_> = noted
        .map(|row| (row.resource, row.detail.clone()))
        .collect();
    let told = |(n, (_, word)): (u64, &(Protection, &str))| {
        (Some(id(n)), format!("{{\"protected\":\"{word}\"}}"))
    };
    let expected: Vec<_> = (1..).zip(&tried).map(told).collect();
    assert_eq!(noted, expected);
}
