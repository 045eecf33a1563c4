//! Some things fail by themselves and the application is well otherwise: they
//! are told, tried again, and keep nobody else waiting.

use serde_json::{Value, json};

use crate::support::{World, address, eventually, values};

async fn failing(world: &World) -> Vec<Value> {
    let status = world.status().await;
    let all = status["connections"][0]["failing"].as_array();
    all.expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_cannot_be_made_keep_nobody_waiting_and_are_told_with_the_reason() {
    let world = World::with("sync_wait = \"100ms\"", &["--empty"]).await;
    let users = world.users("u", 4).await;
    let group = world.group("Team", &users[..1]).await;
    let join = async |number: usize| {
        let add =
            json!([{ "op": "add", "path": "members", "value": values(&users[number..=number]) }]);
        let path = format!("/Groups/{group}");
        world.patch(&path, add).await.expect(204);
        let members = (0..=number).map(|n| address(&format!("u{n}"))).collect();
        world.until_upstream_has("team", &members).await;
    };
    let fault = json!({ "rules": [{ "failure": "error_before", "operation": "create_user" }] });
    world.faults(fault).await;
    // More of them in a row than show that an application is down.
    let bad = world.users("bad", 15).await;
    join(1).await;
    eventually("all of them are told", async || {
        failing(&world).await.len() == bad.len()
    })
    .await;
    for it in failing(&world).await {
        assert!(bad.iter().any(|id| it["id"] == **id), "{it}");
        assert!(
            it["resourceType"] == "User" && it["tries"].as_u64() >= Some(3),
            "{it}"
        );
        let reason = it["reason"].as_str().unwrap();
        assert!(
            reason.contains("500") && reason.contains("POST"),
            "{reason}"
        );
    }
    let (screen, _, well) = world.run(&["status"]);
    let told = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("times in a row and is tried again: POST"),
        "{screen}"
    );
    assert!(!well);
    join(2).await;
    eventually("the application is well", async || {
        world.status().await["connections"][0]["application"]["state"] == "well"
    })
    .await;
    world.faults(json!({})).await;
    // New work ends the rest of the others that are of its kind.
    world.user("good").await;
    eventually("nobody fails any more", async || {
        failing(&world).await.is_empty()
    })
    .await;
    join(3).await;
}
