//! A group that calls and looks said for a while is not there, and that is there
//! with all of its members: whoever deletes it, or one of its users, meanwhile has
//! that done there all the same (reliability: H-15, I-14).

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, user, values};

fn accounts(of: &[usize]) -> BTreeSet<String> {
    of.iter().map(|n| address(&format!("u{n}"))).collect()
}

async fn refused_groups(world: &World) -> Value {
    world.status().await["connections"][0]["refused"]["groups"].clone()
}

const CREW: &str = "/api/v2/groupmanagement/group/crew";

/// A group of the first three of four, of which the application says by now that
/// it is not there, to whoever takes out the first; its address and theirs. Where
/// lists are read too, it is taken away for so long.
async fn believed_gone(application: Application) -> (World, String, Vec<String>) {
    let rules = "read_lag = \"300ms\"\nsync_wait = \"1s\"";
    let world = World::of(application, rules).await;
    let users = world.users("u", 4).await;
    let path = format!("/Groups/{}", world.group("crew", &users[..3]).await);
    tokio::time::sleep(Duration::from_millis(400)).await;
    if application == Application::Opsera {
        let lies = ["get_group", "get_members", "remove_members"].map(|operation| {
            json!({ "failure": { "status": { "status": 404 } }, "operation": operation })
        });
        world.faults(json!({ "rules": lies })).await;
    } else {
        world.as_administrator("DELETE", CREW, Value::Null).await;
    }
    let out = json!([{ "op": "remove", "path": "members", "value": values(&users[..1]) }]);
    world.patch(&path, out).await.expect(204);
    let told = async || refused_groups(&world).await == 1;
    eventually("it is believed to be gone", told).await;
    (world, path, users)
}

/// Also where the application misses a group only once two looks of its own have.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_a_reconciliation_does_not_find_is_gone_and_made_again() {
    for application in [Application::Opsera, Application::Declared] {
        let world = World::of(application, "read_lag = \"300ms\"\nsync_wait = \"1s\"").await;
        let users = world.users("u", 3).await;
        let path = format!("/Groups/{}", world.group("crew", &users).await);
        world.group("other", &users).await;
        world.as_administrator("DELETE", CREW, Value::Null).await;
        let gone = async || {
            world.run(&["reconcile", "--apply"]);
            refused_groups(&world).await == 1
        };
        eventually("it is known to be gone", gone).await;
        let put = json!({ "externalId": "of-the-directory", "displayName": "crew",
            "members": values(&users),
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"] });
        world.put(&path, put).await.expect(200);
        world
            .until_upstream_has("crew", &accounts(&[0, 1, 2]))
            .await;
        assert_eq!(refused_groups(&world).await, 0);
    }
}

async fn tells_the_truth(world: &World, application: Application) {
    world.faults(json!({ "rules": [] })).await;
    if application != Application::Opsera {
        let members: Vec<String> = accounts(&[0, 1, 2]).into_iter().collect();
        let crew = json!({ "name": "crew", "groupMemberEmailAddresses": members });
        let path = "/api/v2/groupmanagement/group";
        world.as_administrator("POST", path, crew).await;
    }
    assert_eq!(
        world.upstream_members("crew").await,
        Some(accounts(&[0, 1, 2]))
    );
    world.forget_calls().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_one_that_seems_to_be_gone_is_sent() {
    for application in [Application::Opsera, Application::Declared] {
        let (world, path, users) = believed_gone(application).await;
        tells_the_truth(&world, application).await;
        world.send("DELETE", &path, None).await.expect(204);
        assert_eq!(world.upstream_members("crew").await, None);
        let calls = world.calls().await;
        let made: Vec<_> = calls.iter().map(|call| &call["operation"]).collect();
        assert_eq!(made, ["delete_group"], "{calls:#?}");
        // One of its name is a new one.
        world.group("crew", &users[3..]).await;
        assert_eq!(world.upstream_members("crew").await, Some(accounts(&[3])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_that_is_gone_the_deletion_is_one_call_and_done() {
    let (world, path, users) = believed_gone(Application::Opsera).await;
    tells_the_truth(&world, Application::Opsera).await;
    world.as_administrator("DELETE", CREW, Value::Null).await;
    world.forget_calls().await;
    world.send("DELETE", &path, None).await.expect(204);
    let calls = world.calls().await;
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(calls[0]["operation"], "delete_group");
    let status = world.status().await;
    let connection = &status["connections"][0];
    assert_eq!(connection["refused"]["groups"], 0, "{status:#}");
    assert_eq!(connection["pending"]["groups"], 0, "{status:#}");
    world.group("crew", &users[3..]).await;
    assert_eq!(world.upstream_members("crew").await, Some(accounts(&[3])));
}

/// Where an account cannot be ended its end is that of its memberships: who was to
/// go from the group before, and who was in it as far as anybody knew.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_deleted_meanwhile_is_taken_out_when_it_is_found() {
    for made_anew in [None, Some("before"), Some("by an import")] {
        let (mut world, _, users) = believed_gone(Application::DeclaredForEver).await;
        for one in &users[..2] {
            let path = format!("/Users/{one}");
            world.send("DELETE", &path, None).await.expect(204);
        }
        tells_the_truth(&world, Application::DeclaredForEver).await;
        if made_anew == Some("before") {
            // The account is theirs now, and they are not asked for in the group.
            world.post("/Users", user("u0")).await.expect(201);
            world.post("/Users", user("u1")).await.expect(201);
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        if made_anew == Some("by an import") {
            tokio::task::block_in_place(|| world.import());
        } else {
            world.run(&["reconcile", "--apply"]);
        }
        world.until_upstream_has("crew", &accounts(&[2])).await;
        eventually("nothing is left to do", async || {
            let status = world.status().await;
            let connection = &status["connections"][0];
            let pending = connection["pending"].as_object().unwrap();
            connection["refused"]["groups"] == 0 && pending.values().all(|it| it == 0)
        })
        .await;
        let (said, wrong, ok) = world.run(&["reconcile"]);
        assert!(ok && !said.contains("given back"), "{said}{wrong}");
        // And whoever is made anew now is a member of nothing.
        if made_anew.is_none() {
            world.post("/Users", user("u1")).await.expect(201);
            assert_eq!(world.upstream_members("crew").await, Some(accounts(&[2])));
        }
    }
}
