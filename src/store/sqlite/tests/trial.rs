//! A rehearsal leaves no row otherwise, alone and beside other writes.

use rusqlite::{Connection, types::Value};

use super::*;
use crate::store::bulk::{Outcome, Unit, Write};

/// Every row of every table.
fn rows(scene: &Scene) -> Vec<(String, Vec<Vec<Value>>)> {
    let db = Connection::open(scene.folder.path().join("d.db")).unwrap();
    let mut tables = db
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        .unwrap();
    let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    names
        .map(|name| {
            let name = name.unwrap();
            let mut select = db.prepare(&format!("SELECT * FROM {name}")).unwrap();
            let columns = select.column_count();
            let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
            let all = select.query_map([], row).unwrap();
            (name, all.collect::<Result<_, _>>().unwrap())
        })
        .collect()
}

fn unit(write: Write) -> Unit {
    Unit {
        writes: vec![write],
        needs: Vec::new(),
        closes: None,
    }
}

#[tokio::test]
async fn a_rehearsal_sees_what_it_writes_and_leaves_nothing() {
    let scene = Scene::new().await;
    let before = rows(&scene);
    let (tell, told) = tokio::sync::oneshot::channel();
    let script = move |trial: &dyn crate::store::trial::Trial| {
        let create = Write::CreateUser {
            id: id(1),
            row: user_row("a"),
        };
        let done = trial.write_all(vec![unit(create)], usize::MAX)?;
        let [Outcome::Done(wrote)] = &done[..] else {
            panic!("{done:?}")
        };
        let crate::store::bulk::Wrote::User(written) = &wrote[0] else {
            panic!("{wrote:?}")
        };
        let turn = trial.begin_user_turn(written.key)?;
        let _ = tell.send(turn.is_some());
        Ok(())
    };
    let rehearsal = scene.store.rehearse(scene.c, Box::new(script), actor());
    rehearsal.await.unwrap();
    assert!(told.await.unwrap(), "the new user has work");
    assert_eq!(rows(&scene), before);
    assert_eq!(
        scene
            .store
            .resource(scene.c, ResourceType::User, id(1))
            .await,
        Ok(None)
    );
}

#[tokio::test]
async fn what_is_written_beside_a_rehearsal_stays() {
    let scene = Scene::new().await;
    let script = |trial: &dyn crate::store::trial::Trial| {
        let create = Write::CreateUser {
            id: id(1),
            row: user_row("a"),
        };
        trial.write_all(vec![unit(create)], usize::MAX).map(|_| ())
    };
    let writes = (0..20).map(|n| {
        let (store, c) = (&scene.store, scene.c);
        async move {
            let row = user_row(&format!("b{n}"));
            store.create_user(c, fresh_id(), row, actor()).await
        }
    });
    let (rehearsed, written) = tokio::join!(
        scene.store.rehearse(scene.c, Box::new(script), actor()),
        futures_util::future::join_all(writes),
    );
    rehearsed.unwrap();
    assert!(written.iter().all(Result::is_ok));
    let counts = scene.store.counts(scene.c).await.unwrap();
    assert_eq!(counts.users, 20);
}
