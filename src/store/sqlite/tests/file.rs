//! The file: one process, mode 0600, migrations that survive a kill anywhere.
use std::{path::Path, process::Command};

use rusqlite::{Batch, Connection, fallible_iterator::FallibleIterator};

use super::*;
use crate::store::{
    StoreError,
    sqlite::{file, migrate, open},
};

#[tokio::test]
async fn a_second_opener_is_refused_at_once_and_told_the_file() {
    let scene = Scene::new().await;
    let path = scene.folder.path().join("d.db");
    let Err(StoreError::Unavailable(why)) = open(&path) else {
        panic!("opened twice")
    };
    assert!(why.contains("d.db") && why.contains("in use"), "{why}");
    let around = scene.folder.path().join(".").join("d.db");
    assert!(open(&around).is_err(), "another spelling of the same file");
    drop(scene.store);
    open(&path).unwrap();
}

#[tokio::test]
async fn a_file_with_two_names_is_not_opened_under_either() {
    let scene = Scene::new().await;
    let path = scene.folder.path().join("d.db");
    let other = scene.folder.path().join("other.db");
    std::fs::hard_link(&path, &other).unwrap();
    let refused = |path: &Path| match open(path) {
        Err(StoreError::Broken(why)) => why,
        other => panic!("{other:?}"),
    };
    let why = refused(&other);
    assert!(why.contains("other.db has 2 names"), "{why}");
    assert!(!scene.folder.path().join("other.db.lock").exists());
    // The process that had it first goes on, and nobody else can take over.
    scene.user("ann").await;
    drop(scene.store);
    assert!(refused(&path).contains("2 names"));
    std::fs::remove_file(&other).unwrap();
    open(&path).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_any_of_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new().await;
    scene.user("ann").await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(scene.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["d.db", "d.db-shm", "d.db-wal", "d.db.lock"]);
}

#[test]
fn the_log_is_synced_at_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let held = file::hold(&folder.path().join("d.db")).unwrap();
    let db = file::open_plain(&held.path).unwrap();
    file::make_durable(&db).unwrap();
    let ask = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(ask("PRAGMA synchronous"), 2);
    assert_eq!(ask("PRAGMA foreign_keys"), 1);
    let mode: String = db
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

fn refusal(prepare: impl Fn(&Connection)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.db");
    let db = Connection::open(&path).unwrap();
    prepare(&db);
    drop(db);
    let before = std::fs::read(&path).unwrap();
    let Err(StoreError::Broken(why)) = open(&path) else {
        panic!("opened")
    };
    assert_eq!(std::fs::read(&path).unwrap(), before, "nothing was touched");
    why
}

#[test]
fn a_newer_file_and_a_foreign_one_are_refused_untouched() {
    let newer = refusal(|db| {
        migrate::migrate(db, migrate::STEPS).unwrap();
        db.execute_batch("PRAGMA user_version = 99").unwrap();
    });
    assert!(newer.contains("format 99"), "{newer}");
    let foreign = refusal(|db| db.execute_batch("CREATE TABLE x (y)").unwrap());
    assert!(foreign.contains("another program"), "{foreign}");
    let garbage = {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.db");
        std::fs::write(&path, vec![b'x'; 8_192]).unwrap();
        open(&path).unwrap_err()
    };
    assert!(matches!(garbage, StoreError::Broken(_)), "{garbage}");
}

const KILL_PATH: &str = "STORE_TEST_KILL_PATH";
const KILL_AFTER: &str = "STORE_TEST_KILL_AFTER";

/// Runs the statements of the first migration and dies after some of them;
/// true when there were not so many.
fn migrate_until(path: &Path, statements: usize) -> bool {
    let held = file::hold(path).unwrap();
    let db = file::open_plain(&held.path).unwrap();
    file::make_durable(&db).unwrap();
    let script = migrate::script(migrate::STEPS[0], 1);
    let mut batch = Batch::new(&db, &script);
    for _ in 0..statements {
        let Some(mut statement) = batch.next().unwrap() else {
            return true;
        };
        let mut rows = statement.raw_query();
        while rows.next().unwrap().is_some() {}
    }
    std::process::abort()
}

#[test]
#[ignore = "dies on purpose; run by the test below"]
fn dies_in_a_migration() {
    let path = std::env::var(KILL_PATH).unwrap();
    let after = std::env::var(KILL_AFTER).unwrap().parse().unwrap();
    assert!(migrate_until(Path::new(&path), after));
}

#[test]
fn a_kill_at_any_statement_of_a_migration_leaves_a_file_that_opens() {
    let program = std::env::current_exe().unwrap();
    let name = format!("{}::dies_in_a_migration", module_path!());
    let (_, name) = name.split_once("::").unwrap();
    for after in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.db");
        let child = Command::new(&program)
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env(KILL_PATH, &path)
            .env(KILL_AFTER, after.to_string())
            .output()
            .unwrap();
        let store = open(&path).unwrap();
        drop(store);
        let db = Connection::open(&path).unwrap();
        let version: usize = db
            .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
            .map(|v| v.try_into().unwrap())
            .unwrap();
        assert_eq!(version, migrate::STEPS.len());
        let sound: String = db
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
        if child.status.success() {
            assert!(after > 20, "the whole script was tried: {after}");
            return;
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let scene = Scene::new().await;
    let user = scene.user("ann").await;
    let scene = scene.reopen().await;
    let read = scene
        .store
        .resource(scene.c, ResourceType::User, user.resource.id);
    assert_eq!(read.await.unwrap(), Some(user.resource));
}
