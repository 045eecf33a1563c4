//! Members: concurrent deltas, replacement as a difference, cost by what is named.
use std::collections::BTreeSet;

use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::{
    plan::state::GroupKey,
    scim::{json::Limits, patch, schema::Schemas},
    store::{
        GroupLearned, StoreError,
        sqlite::{fault::Result, file, group_turn, groups, members, migrate, read, users},
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_parallel_single_member_changes_lose_nobody() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for n in 0..100 {
        ids.push(scene.user(&format!("u{n}")).await.resource.id);
    }
    let group = scene.group("dev", &[]).await;
    let tasks: Vec<_> = ids
        .iter()
        .map(|&id| {
            let (store, c, group) = (Arc::clone(&scene.store), scene.c, group.resource.id);
            tokio::spawn(async move {
                let written = store.change_group(c, group, always(), add(&[id]), actor());
                written.await.unwrap().resource.meta.version
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for task in tasks {
        versions.insert(task.await.unwrap());
    }
    assert_eq!(versions.len(), 100, "every change has a version of its own");
    ids.sort_unstable();
    assert_eq!(scene.members(&group).await, ids);
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!(
        (counts.users, counts.groups, counts.memberships),
        (100, 1, 100)
    );
    assert_eq!(
        (counts.pending_users, counts.pending_memberships),
        (100, 100)
    );
}

#[tokio::test]
async fn unknown_members_are_all_named_and_nothing_changes() {
    let scene = Scene::new().await;
    let ann = scene.user("ann").await.resource.id;
    let group = scene.group("dev", &[]).await;
    let unknown = id(77).to_string();
    let ids = vec![
        ann.to_string(),
        unknown.clone(),
        "?".into(),
        unknown.clone(),
    ];
    let all = WriteError::UnknownMembers(vec![unknown.clone(), "?".into()]);
    for wrap in [MemberChange::Add, MemberChange::Replace] {
        let refused = scene.change(&group, change(vec![wrap(ids.clone())])).await;
        let mut refused = refused.unwrap_err();
        if let WriteError::UnknownMembers(list) = &mut refused {
            list.sort_by_key(|text| text.len() == 1);
        }
        assert_eq!(refused, all);
        assert_eq!(scene.members(&group).await, []);
    }
    let mut lenient = change(vec![MemberChange::Add(ids)]);
    lenient.skip_unknown = true;
    let written = scene.change(&group, lenient).await.unwrap();
    assert_eq!(written.skipped, [unknown.clone(), "?".into()]);
    assert_eq!(scene.members(&group).await, [ann]);
    let gone = change(vec![MemberChange::Remove(vec![unknown, "?".into()])]);
    let written = scene.change(&group, gone).await.unwrap();
    assert!(!written.changed, "removing an unknown one is no change");
}

#[tokio::test]
async fn remove_and_add_of_the_same_member_is_no_change() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await.resource.id;
    let group = scene.settled_group("dev", &[ann]).await;
    let both = change(vec![
        MemberChange::RemoveAll,
        MemberChange::Add(texts(&[ann])),
    ]);
    let written = scene.change(&group, both).await.unwrap();
    assert!(!written.changed && written.touched.is_empty());
    assert_eq!(written.resource.meta.version, 1);
    assert_eq!(scene.lanes().await, []);
}

#[tokio::test]
async fn a_retry_waits_for_the_pair_that_is_still_open() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let group = scene.settled_group("dev", &[]).await;
    let first = scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    assert_eq!((first.changed, first.touched), (true, vec![ann.key]));
    for again in [add(&[ann.resource.id]), replace(&[ann.resource.id])] {
        let again = scene.change(&group, again).await.unwrap();
        assert_eq!((again.changed, again.touched), (false, vec![ann.key]));
        assert_eq!(again.seq, first.seq);
    }
    scene.confirm_group(&group).await;
    let done = scene.change(&group, add(&[ann.resource.id])).await.unwrap();
    assert_eq!((done.changed, done.touched), (false, vec![]));
}

#[tokio::test]
async fn nobody_waits_for_the_add_of_an_inactive_or_unknowable_user() {
    let scene = Scene::new().await;
    let mut row = user_row("ann");
    row.account.active = false;
    let create = |row| scene.store.create_user(scene.c, fresh_id(), row, actor());
    let inactive = create(row).await.unwrap();
    let mut row = user_row("bob");
    row.account_key = None;
    let staged = create(row).await.unwrap();
    assert!(inactive.dirty && !staged.dirty, "it is looked for");
    let group = scene.settled_group("dev", &[]).await;
    let ids = [inactive.resource.id, staged.resource.id];
    let written = scene.change(&group, add(&ids)).await.unwrap();
    assert!(written.changed && written.touched.is_empty());
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    assert_eq!(turn, None);
}

#[tokio::test]
async fn a_replacement_touches_only_what_differs() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(scene.member(&format!("u{n}")).await.resource.id);
    }
    let group = scene.settled_group("dev", &ids[..4]).await;
    let same = scene.change(&group, replace(&ids[..4])).await.unwrap();
    assert!(!same.changed);
    assert_eq!(same.resource.meta.version, 1);
    let next = scene.change(&group, replace(&ids[2..])).await.unwrap();
    assert_eq!(next.touched.len(), 4);
    assert_eq!(next.resource.meta.version, 2);
    assert_eq!(scene.members(&group).await, ids[2..]);
    let turn = scene.store.begin_group_turn(group.key, 10).await.unwrap();
    let work = turn.unwrap().work;
    assert_eq!((work.adds.len(), work.removes.len()), (2, 2));
    let full = work
        .full
        .expect("a whole set with both directions is one call");
    let full: BTreeSet<_> = full.iter().map(|p| p.id).collect();
    assert_eq!(full, ids[2..].iter().copied().collect());
    let empty = scene.change(&group, replace(&[])).await.unwrap();
    assert_eq!(empty.touched.len(), 6);
    assert_eq!(scene.members(&group).await, []);
}

#[tokio::test]
async fn members_of_one_answer_are_of_one_version() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await.resource.id;
    let group = scene.group("dev", &[]).await;
    for (version, ids) in [(1, vec![]), (2, vec![ann]), (3, vec![])] {
        let members = scene.store.members(scene.c, group.resource.id).await;
        let members = members.unwrap().unwrap();
        assert_eq!(
            (members.version, members.ids.to_vec()),
            (version, ids.clone())
        );
        let next = if ids.is_empty() {
            add(&[ann])
        } else {
            remove(&[ann])
        };
        scene.change(&group, next).await.unwrap();
    }
    assert!(scene.store.members(scene.c, id(5)).await.unwrap().is_none());
}

#[tokio::test]
async fn members_are_removed_by_a_filter_on_their_value() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(scene.user(&format!("u{n}")).await.resource.id);
    }
    let group = scene.group("dev", &ids).await;
    let path = format!("members[value ne \"{}\"]", ids[1]);
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "remove", "path": path }],
    });
    let schemas = Schemas::new(&[], &[]);
    let body = body.to_string();
    let patch = patch::parse(
        body.as_bytes(),
        ResourceType::Group,
        &schemas,
        &Limits::default(),
    );
    let members = patch.unwrap().taken.members;
    assert!(matches!(members[..], [MemberChange::RemoveWhere(_)]));
    scene.change(&group, change(members)).await.unwrap();
    assert_eq!(scene.members(&group).await, [ids[1]]);
}

/// A store's tables without its threads, for counting what statements do.
struct Bench {
    db: Connection,
    group: ResourceId,
    _folder: TempDir,
}

fn user(db: &Connection, name: &str) -> Result<ResourceId> {
    let id = fresh_id();
    users::create(db, 1, id, &user_row(name), &actor())?;
    Ok(id)
}

fn bench(size: usize) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let held = file::hold(&folder.path().join("d.db")).unwrap();
    let db = file::open_plain(&held.path).unwrap();
    migrate::migrate(&db, migrate::STEPS).unwrap();
    db.execute_batch("INSERT INTO connections (key, name) VALUES (1, 'acme'); BEGIN")
        .unwrap();
    let ids: Vec<_> = (0..size)
        .map(|n| user(&db, &format!("m{n}")).unwrap())
        .collect();
    let group = fresh_id();
    groups::create(
        &db,
        1,
        group,
        &group_row("dev"),
        texts(&ids),
        false,
        &actor(),
    )
    .unwrap();
    db.execute_batch("UPDATE memberships SET observed = 1; COMMIT")
        .unwrap();
    Bench {
        db,
        group,
        _folder: folder,
    }
}

impl Bench {
    /// Steps of the database's machine for one change.
    fn steps(&self, change: GroupChange) -> i32 {
        self.sum(&members::STATEMENTS, true);
        groups::change(&self.db, 1, self.group, &always(), change, &actor()).unwrap();
        self.sum(&members::STATEMENTS, false)
    }

    /// Steps of a turn that adds what is open.
    fn turn_steps(&self) -> i32 {
        self.sum(&group_turn::STATEMENTS, true);
        let (key, _) = read::group_version(&self.db, 1, self.group)
            .unwrap()
            .unwrap();
        let turn = group_turn::begin(&self.db, GroupKey(key), 1_000)
            .unwrap()
            .unwrap();
        let learned = GroupLearned {
            present: turn.work.adds.iter().map(|add| add.user).collect(),
            ..GroupLearned::default()
        };
        assert_eq!(learned.present.len(), 1);
        group_turn::end(&self.db, GroupKey(key), turn.seq, &learned, 1).unwrap();
        self.sum(&group_turn::STATEMENTS, false)
    }

    fn sum(&self, statements: &[&str], reset: bool) -> i32 {
        let one = |sql: &&str| {
            let statement = self.db.prepare_cached(sql).unwrap();
            let steps = statement.get_status(StatementStatus::VmStep);
            if reset {
                statement.reset_status(StatementStatus::VmStep);
            }
            steps
        };
        statements.iter().map(one).sum()
    }
}

#[test]
fn the_cost_of_adding_and_removing_one_follows_what_is_named_and_not_the_group() {
    let (empty, large) = (bench(0), bench(10_000));
    for bench in [&empty, &large] {
        bench.db.execute_batch("BEGIN").unwrap();
    }
    let (a, b) = (
        user(&empty.db, "new").unwrap(),
        user(&large.db, "new").unwrap(),
    );
    let warm = |id| change(vec![MemberChange::Remove(texts(&[id]))]);
    empty.steps(warm(a));
    large.steps(warm(b));
    let one = (empty.steps(add(&[a])), large.steps(add(&[b])));
    assert!(one.0 > 0 && one.1 <= one.0 + one.0 / 4, "{one:?}");
    let back = (empty.steps(remove(&[a])), large.steps(remove(&[b])));
    assert!(back.0 > 0 && back.1 <= back.0 + back.0 / 4, "{back:?}");
}

#[test]
fn the_cost_of_a_turn_follows_what_is_open_and_not_the_group() {
    let steps = [0, 10_000].map(|size| {
        let bench = bench(size);
        let new = user(&bench.db, "new").unwrap();
        bench
            .db
            .execute_batch("UPDATE users SET existence = 1; UPDATE groups SET existence = 1")
            .unwrap();
        bench.steps(add(&[new]));
        bench.turn_steps()
    });
    assert!(
        steps[0] > 0 && steps[1] <= steps[0] + steps[0] / 4,
        "{steps:?}"
    );
}

#[test]
fn a_replacement_with_the_same_ten_thousand_is_one_scan_and_no_write() {
    let bench = bench(10_000);
    let ids: Vec<String> = bench
        .db
        .prepare("SELECT user_id FROM memberships")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(|bytes| ResourceId::from_bytes(bytes.unwrap()).to_string())
        .collect();
    bench.db.execute_batch("BEGIN").unwrap();
    let writes = bench.db.total_changes();
    let steps = bench.steps(change(vec![MemberChange::Replace(ids.clone())]));
    assert_eq!(bench.db.total_changes(), writes);
    assert!(steps < 20 * 10_000, "{steps}");
    let fewer = ids[1..].to_vec();
    let more = bench.steps(change(vec![MemberChange::Replace(fewer)]));
    assert!(
        more < steps + 1_000,
        "one difference adds one difference's cost: {more}"
    );
    let changes = bench.db.total_changes() - writes;
    assert!(changes <= 3, "the pair, the group and the audit: {changes}");
}

#[tokio::test]
async fn open_pairs_are_those_that_still_differ() {
    let scene = Scene::new().await;
    let ann = scene.member("ann").await;
    let bob = scene.member("bob").await;
    let group = scene.settled_group("dev", &[ann.resource.id]).await;
    scene.change(&group, add(&[bob.resource.id])).await.unwrap();
    let open = scene.store.open_pairs(group.key, vec![ann.key, bob.key]);
    assert_eq!(open.await.unwrap(), [bob.key]);
    let ids = scene.store.user_ids(vec![bob.key, UserKey(999), ann.key]);
    assert_eq!(ids.await.unwrap(), [bob.resource.id, ann.resource.id]);
    let none: std::result::Result<_, StoreError> =
        scene.store.begin_group_turn(GroupKey(999), 10).await;
    assert_eq!(none.unwrap(), None);
}
