//! What an id of another connection costs is what one costs that nothing ever
//! had: the same statements, and as many steps of each of them, so that no clock
//! can tell them apart (reliability: S-12).

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{
    Connection, StatementStatus,
    trace::{TraceEvent, TraceEventCodes},
};

use super::{lists::plain, *};
use crate::store::{Start, bulk};

/// A statement that has ended, and how many steps of the database's machine
/// it took.
type Done = (String, i32);

/// By the files of those tests that want it told.
static WATCHED: Mutex<BTreeMap<PathBuf, Vec<Done>>> = Mutex::new(BTreeMap::new());

fn watched() -> MutexGuard<'static, BTreeMap<PathBuf, Vec<Done>>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what a connection to a file does, where a test wants it told.
pub(in crate::store::sqlite) fn noted(
    mut db: Connection,
    path: &Path,
) -> rusqlite::Result<Connection> {
    if !watched().contains_key(path) {
        return Ok(db);
    }
    let path = path.to_owned();
    // The counters of a statement that is kept go on from use to use.
    let mut before: HashMap<String, i32> = HashMap::new();
    let tell = move |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            let sql = statement.sql().into_owned();
            let now = statement.get_status(StatementStatus::VmStep);
            let then = before.insert(sql.clone(), now).filter(|then| *then <= now);
            let done = (sql, now - then.unwrap_or_default());
            watched().entry(path.clone()).or_default().push(done);
        }
    };
    db.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(tell))?;
    Ok(db)
}

struct Pair {
    scene: Scene,
    path: PathBuf,
}

impl Pair {
    /// Two connections with a member in a group each; the ids of the other's.
    async fn new() -> (Self, [ResourceId; 2], GroupWritten) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("d.db");
        watched().insert(path.clone(), Vec::new());
        let store = super::super::open(&path).unwrap();
        let other = store.connection("globex").await.unwrap();
        let own = store.connection("acme").await.unwrap();
        let mut scene = Scene {
            folder,
            store,
            c: other,
        };
        let ann = scene.member("ann").await.resource.id;
        let crew = scene.settled_group("crew", &[ann]).await.resource.id;
        scene.c = own;
        let ben = scene.member("ben").await.resource.id;
        let own = scene.settled_group("team", &[ben]).await;
        (Self { scene, path }, [ann, crew], own)
    }

    /// What was done since the last time.
    fn done(&self) -> Vec<Done> {
        let mut watched = watched();
        std::mem::take(watched.get_mut(&self.path).unwrap())
    }

    async fn cost(&self, way: usize, id: ResourceId, own: &GroupWritten) -> Vec<Done> {
        self.done();
        assert!(!self.finds(way, id, own).await, "way {way}");
        self.done()
    }

    /// One way to ask for an id; whether there is anything.
    async fn finds(&self, way: usize, id: ResourceId, own: &GroupWritten) -> bool {
        let (store, c) = (&self.scene.store, self.scene.c);
        let list = |of, filter: String| store.list(c, plain(of, &filter, Start::Offset(0), 10));
        let (user, group) = (ResourceType::User, ResourceType::Group);
        let named = |filter: &str| filter.replace("ID", &id.to_string());
        match way {
            0 => store.resource(c, user, id).await.unwrap().is_some(),
            1 => store.resource(c, group, id).await.unwrap().is_some(),
            2 => store.user(c, id).await.unwrap().is_some(),
            3 => store.members(c, id).await.unwrap().is_some(),
            4 => {
                let groups = store.groups_of(c, vec![id], 10).await.unwrap();
                groups.iter().any(|groups| !groups.is_empty())
            }
            5 => list(user, named("id eq \"ID\"")).await.unwrap().total > 0,
            6 => list(group, named("id eq \"ID\"")).await.unwrap().total > 0,
            7 => {
                list(group, named("members.value eq \"ID\""))
                    .await
                    .unwrap()
                    .total
                    > 0
            }
            8 => {
                list(user, named("groups.value eq \"ID\""))
                    .await
                    .unwrap()
                    .total
                    > 0
            }
            // Asked of each group, and of each user.
            17 => {
                let filter = named("members.value eq \"ID\" and not (displayName eq \"x\")");
                list(group, format!("displayName sw \"t\" and {filter}"))
                    .await
                    .unwrap()
                    .total
                    > 0
            }
            18 => {
                let filter = named("groups.value eq \"ID\" or displayName eq \"x\"");
                list(user, filter).await.unwrap().total > 0
            }
            9 => {
                let decide = Box::new(|_: &_| Ok(None));
                store
                    .change_user(c, id, always(), decide, actor())
                    .await
                    .is_ok()
            }
            10 => store.delete_user(c, id, always(), actor()).await.is_ok(),
            11 => {
                let nothing = change(Vec::new());
                store
                    .change_group(c, id, always(), nothing, actor())
                    .await
                    .is_ok()
            }
            12 => {
                let decide = Box::new(|_: &_| Ok(None));
                store
                    .delete_group(c, id, always(), decide, None, actor())
                    .await
                    .is_ok()
            }
            13 => self.scene.change(own, add(&[id])).await.is_ok(),
            14 => self.scene.change(own, replace(&[id])).await.is_ok(),
            15 => {
                let made = group_row("new");
                let members = texts(&[id]);
                let made = store.create_group(c, fresh_id(), made, members, false, actor());
                made.await.is_ok()
            }
            _ => {
                let named = false;
                let unit = bulk::Unit {
                    writes: vec![bulk::Write::EndDeletion { id, named }],
                    needs: Vec::new(),
                    closes: None,
                };
                let ends = store.write_all(c, vec![unit], 10, actor()).await.unwrap();
                ends.iter().any(|end| matches!(end, bulk::Outcome::Done(_)))
            }
        }
    }
}

const WAYS: usize = 19;

#[tokio::test]
async fn an_id_of_another_connection_costs_what_one_costs_that_nothing_has() {
    let (pair, theirs, own) = Pair::new().await;
    let mut apart = Vec::new();
    for way in 0..WAYS {
        for id in theirs {
            // Once before, so that every statement is compiled.
            pair.cost(way, fresh_id(), &own).await;
            let nothing = pair.cost(way, fresh_id(), &own).await;
            assert!(!nothing.is_empty(), "way {way}");
            let foreign = pair.cost(way, id, &own).await;
            if nothing != foreign {
                apart.push((way, nothing, foreign));
            }
        }
    }
    assert!(apart.is_empty(), "{apart:#?}");
    // What there is costs something else, so the counters count.
    let (mine, way) = (own.resource.id, 12);
    let nothing = pair.cost(way, fresh_id(), &own).await;
    assert!(pair.finds(way, mine, &own).await);
    assert_ne!(pair.done(), nothing);
}
