//! What Snyk shows or answers is not what is so: a look shows nothing of somebody
//! who is there, or an addition is refused as if the membership were there.

use super::*;

async fn here(world: &World) -> Value {
    world.status().await["connections"][0].clone()
}

async fn nothing_is_pending(world: &World) {
    eventually("nothing is pending", async || {
        let pending = &here(world).await["pending"];
        pending["memberships"].as_u64() == Some(0)
    })
    .await;
}

fn shows_nothing_of(name: &str) -> Value {
    let failure = json!({ "left_out": { "ids": [address(name)] } });
    json!({ "rules": [{ "failure": failure, "operation": "list_memberships", "next": 1 }] })
}

#[tokio::test]
async fn a_look_that_shows_nothing_is_looked_at_again_before_somebody_counts_as_out() {
    let world = snyk_with("read_lag = \"1s\"\nsync_wait = \"100ms\"", LINK).await;
    let (viewer, vic) = (role(&world, VIEWER).await, id_of_user(&world, "vic").await);
    world.forget_calls().await;
    world.faults(shows_nothing_of("vic")).await;
    remove(&world, &viewer, &vic).await.expect(204);
    assert_eq!(here(&world).await["pending"]["memberships"], 1);
    nothing_is_pending(&world).await;
    assert!(roles(&world, "vic").await.is_empty());
    assert_eq!(
        operations(&world.calls().await),
        ["list_memberships", "list_memberships", "delete_membership"]
    );
}

#[tokio::test]
async fn who_was_taken_out_by_hand_is_out_after_two_looks() {
    let world = snyk_with("read_lag = \"1s\"\nsync_wait = \"100ms\"", LINK).await;
    let (viewer, vic) = (role(&world, VIEWER).await, id_of_user(&world, "vic").await);
    let mut company = company();
    company["groups"][1]["members"] = json!([address("ben")]);
    world.seed(company).await;
    world.forget_calls().await;
    remove(&world, &viewer, &vic).await.expect(204);
    nothing_is_pending(&world).await;
    let calls = world.calls().await;
    assert_eq!(writes(&calls), [""; 0]);
    let by_id = |call: &&Value| {
        call["query"]
            .as_str()
            .unwrap_or_default()
            .contains("user_id=")
    };
    let looks = calls.iter().filter(by_id).count();
    assert_eq!(looks, 2, "{calls:#?}");
}

#[tokio::test]
async fn an_addition_that_is_refused_as_if_it_were_there_is_told_and_refused_in_the_end() {
    let world = snyk_with("read_lag = \"1s\"\nsync_wait = \"100ms\"", LINK).await;
    let (viewer, ann) = (role(&world, VIEWER).await, id_of_user(&world, "ann").await);
    let status = json!({ "status": { "status": 409 } });
    let rule = json!({ "failure": status, "operation": "create_membership" });
    world.faults(json!({ "rules": [rule] })).await;
    world.forget_calls().await;
    add(&world, &viewer, &ann).await.expect(204);
    let says = |of: &Value| {
        let reason = of["reason"].as_str().unwrap_or_default();
        reason.contains("answered 409") && reason.contains("snyk-request-id")
    };
    eventually("it is told while it waits", async || {
        let waits = &here(&world).await["waiting"][0];
        waits["user"] == ann && waits["asked"] == "add" && says(waits)
    })
    .await;
    let (said, ..) = world.run(&["status"]);
    let words: Vec<&str> = said.split_whitespace().collect();
    assert!(words.join(" ").contains(", add, waits: Snyk"), "{said}");
    eventually("it is refused", async || {
        says(&here(&world).await["refusedMemberships"][0])
    })
    .await;
    nothing_is_pending(&world).await;
    assert_eq!(here(&world).await["waiting"], json!([]));
    let calls = world.calls().await;
    assert_eq!(writes(&calls), ["create_membership"; 3], "{calls:?}");
    world.faults(json!({})).await;
    add(&world, &viewer, &ann).await.expect(204);
    eventually("it is given when it is asked for again", async || {
        roles(&world, "ann").await == just(VIEWER)
    })
    .await;
    assert_eq!(here(&world).await["refusedMemberships"], json!([]));
}
