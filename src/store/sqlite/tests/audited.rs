//! A change whose audit row cannot be written leaves nothing.
use rusqlite::Connection;

use super::*;
use crate::{
    plan::drift::GroupDrift,
    store::{DecideUser, ImportMark, Settle},
};

impl Scene {
    fn beside(&self) -> Connection {
        Connection::open(self.folder.path().join("d.db")).unwrap()
    }

    /// Every row of every table.
    fn rows(&self) -> Vec<String> {
        let db = self.beside();
        let mut tables = db
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .unwrap();
        let tables = tables.query_map([], |row| row.get(0)).unwrap();
        let mut all = Vec::new();
        for table in tables.map(Result::<String, _>::unwrap) {
            let mut select = db.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
            let columns = select.column_count();
            let mut rows = select.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values = (0..columns).map(|n| format!("{:?}", row.get_ref(n).unwrap()));
                all.push(format!(
                    "{table}: {}",
                    values.collect::<Vec<_>>().join(", ")
                ));
            }
        }
        all
    }

    /// Rows of these actions cannot be written: an SQL condition.
    fn refuse_audit(&self, actions: &str) {
        let trigger = format!(
            "CREATE TRIGGER refused BEFORE INSERT ON audit WHEN {actions}
             BEGIN SELECT RAISE(ABORT, 'no audit'); END"
        );
        self.beside().execute_batch(&trigger).unwrap();
    }

    fn take_audit(&self) {
        self.beside().execute_batch("DROP TRIGGER refused").unwrap();
    }

    /// Fails for want of an audit row, and changes nothing.
    async fn fails<T, E>(&self, what: &str, write: impl Future<Output = Result<T, E>>) {
        let before = self.rows();
        self.refuse_audit("1");
        assert!(write.await.is_err(), "{what}");
        self.take_audit();
        assert_eq!(self.rows(), before, "{what}");
    }
}

fn deactivated() -> DecideUser {
    let mut row = user_row("ann");
    row.account.active = false;
    Box::new(move |_| Ok(Some(row)))
}

#[tokio::test]
async fn what_is_not_in_the_audit_was_not_done() {
    let scene = Scene::new().await;
    let (store, c) = (&scene.store, scene.c);
    let (ann, ben) = (scene.member("ann").await, scene.member("ben").await);
    let both = [ann.resource.id, ben.resource.id];
    let dev = scene.settled_group("dev", &both).await;
    let (user, group) = (ann.resource.id, dev.resource.id);
    let made = store.create_user(c, fresh_id(), user_row("cat"), actor());
    scene.fails("create a user", made).await;
    let left = store.change_user(c, user, always(), deactivated(), actor());
    scene.fails("deactivate a user", left).await;
    let gone = store.delete_user(c, user, always(), actor());
    scene.fails("delete a user", gone).await;
    let row = (group_row("ops"), texts(&both));
    let made = store.create_group(c, fresh_id(), row.0, row.1, false, actor());
    scene.fails("create a group", made).await;
    let less = store.change_group(c, group, always(), remove(&both[..1]), actor());
    scene.fails("remove a member", less).await;
    let none = store.change_group(c, group, always(), replace(&[]), actor());
    scene.fails("replace all members", none).await;
    scene
        .fails("delete a group", scene.delete_group(&dev, actor()))
        .await;
    let accounts = vec![imports::found_user("dan")];
    let mark = ImportMark(i64::MAX);
    let import = store.import(c, mark, accounts, Vec::new(), None, actor());
    scene.fails("import users", import).await;
    let crew = vec![imports::found_group("crew", &["ann", "nobody"])];
    let import = store.import(c, mark, Vec::new(), crew, None, actor());
    scene.fails("import a group", import).await;
    let drift = GroupDrift {
        missing: vec![ann.key],
        ..GroupDrift::default()
    };
    let how = Settle::default();
    let settle = store.settle_drift(dev.key, mark, drift, how, actor());
    scene.fails("repair drift", settle).await;

    let left = store.change_user(c, user, always(), deactivated(), actor());
    let left = left.await.unwrap();
    let undo = store.restore_user(ann.key, left.resource.meta.version, left.before, actor());
    scene.fails("take a refused write back", undo).await;
    let turn = store.begin_user_turn(ann.key).await.unwrap().unwrap();
    let learned = UserLearned {
        observed: Some(turn.work.observed),
        settled: true,
        withdraws: true,
        ..UserLearned::default()
    };
    let end = store.end_user_turn(ann.key, learned.clone(), 2_000);
    scene.fails("end a user's turn", end).await;
    store.end_user_turn(ann.key, learned, 2_000).await.unwrap();
    let turn = scene.begin(dev.key).await;
    let learned = GroupLearned {
        absent: vec![ann.key],
        ..GroupLearned::default()
    };
    let end = store.end_group_turn(dev.key, turn.seq, learned, 2_000);
    scene.fails("end a group's turn", end).await;
    let again = store.end_again(vec![ann.key], false, actor());
    scene.fails("end access again", again).await;
}

/// Of what an import of a group keeps, its rows tell, wherever it breaks off.
#[tokio::test]
async fn what_is_kept_of_a_large_group_is_in_the_audit() {
    let scene = Scene::new().await;
    let names: Vec<String> = (0..1_200).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let import = || {
        let users = names.iter().map(|name| imports::found_user(name)).collect();
        let groups = vec![imports::found_group("crew", &names)];
        let mark = ImportMark(i64::MAX);
        scene
            .store
            .import(scene.c, mark, users, groups, None, actor())
    };
    let counted = |sql: &str| -> i64 {
        let count = scene.beside().query_row(sql, [], |row| row.get(0));
        count.unwrap()
    };
    let members = || counted("SELECT count(*) FROM memberships");
    let told = || {
        counted(
            "SELECT coalesce(sum(json_extract(detail, '$.members')), 0) FROM audit
             WHERE action = 'import_group'",
        )
    };
    scene.refuse_audit(
        "NEW.action = 'import_group'
         AND (SELECT count(*) FROM audit WHERE action = 'import_group') > 0",
    );
    assert!(import().await.is_err());
    assert!(members() > 0 && members() < 1_200);
    assert_eq!(told(), members());
    scene.take_audit();
    import().await.unwrap();
    assert_eq!([told(), members()], [1_200; 2]);
}

/// Writes that share a transaction have separate fates.
#[tokio::test]
async fn a_write_beside_one_without_an_audit_row_is_done() {
    let scene = Scene::new().await;
    scene.refuse_audit("NEW.action = 'create_group'");
    let group = |name| {
        let row = group_row(name);
        let store = &scene.store;
        store.create_group(scene.c, fresh_id(), row, Vec::new(), false, actor())
    };
    let (one, ann, other, ben) = tokio::join!(
        group("dev"),
        scene.try_user("ann"),
        group("ops"),
        scene.try_user("ben")
    );
    assert!(one.is_err() && other.is_err());
    assert!(ann.is_ok() && ben.is_ok());
    let rows = scene.rows();
    let of = |table: &str| rows.iter().filter(|row| row.starts_with(table)).count();
    assert_eq!((of("users: "), of("groups: ")), (2, 0), "{rows:#?}");
    assert_eq!(of("audit: "), 2);
}
