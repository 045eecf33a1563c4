//! Who leaves is in no group either whose deletion was refused, or got no answer, so
//! that it is there still.

use super::*;

/// Two members of `dev`, which is deleted here and stays there.
async fn stays(world: &World, rules: &[Value]) -> (Vec<String>, String) {
    let ids = world.users("m", 2).await;
    let dev = world.group("dev", &ids).await;
    world.faults(json!({ "rules": rules })).await;
    let path = format!("/Groups/{dev}");
    let deleted = world.send("DELETE", &path, None).await;
    assert!(
        [204, 400, 409].contains(&deleted.status.as_u16()),
        "{deleted:?}"
    );
    world.get(&path).await.expect(404);
    (ids, dev)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_taken_out_of_a_group_whose_deletion_was_refused_or_got_no_answer() {
    let silent = json!({ "failure": "error_before", "operation": "delete_group" });
    for (rule, refused) in [(answers("delete_group", 409), 1), (silent, 0)] {
        let rules = "sync_wait = \"300ms\"";
        let world = World::of(Application::DeclaredForEver, rules).await;
        let (ids, _) = stays(&world, &[rule]).await;
        let path = format!("/Users/{}", ids[0]);
        world.patch(&path, active(false)).await.expect(200);
        world.until_upstream_has("dev", &addresses(&["m1"])).await;
        let nobody_waits = |told: &Value| told["pending"]["users"] == 0;
        let told = until_told(&world, "the end", nobody_waits).await;
        let counts = &told["refused"];
        assert_eq!(
            (&counts["users"], &counts["groups"]),
            (&json!(0), &json!(refused))
        );
        let path = format!("/Users/{}", ids[1]);
        world.send("DELETE", &path, None).await.expect(204);
        world.until_upstream_has("dev", &addresses(&[])).await;
        world.faults(json!({})).await;
        world.overlook().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_nobody_who_leaves_in_a_group_whose_deletion_was_refused() {
    let rules = "sync_wait = \"300ms\"";
    let mut world = World::of(Application::DeclaredForEver, rules).await;
    let no = answers("delete_group", 409);
    let (ids, _) = stays(&world, std::slice::from_ref(&no)).await;
    let both = [no.clone(), answers("remove_members", 429)];
    world.faults(json!({ "rules": both })).await;
    let path = format!("/Users/{}", ids[0]);
    world.patch(&path, active(false)).await.expect(200);
    world.kill_bridge();
    world.faults(json!({ "rules": [no] })).await;
    world.start_bridge();
    world.until_upstream_has("dev", &addresses(&["m1"])).await;
    world.overlook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_and_cannot_be_taken_out_of_a_group_that_stays_is_told_by_name() {
    let world = World::of(Application::DeclaredForEver, "").await;
    let no = answers("delete_group", 409);
    let both = [no.clone(), answers("remove_members", 400)];
    let (ids, dev) = stays(&world, &both).await;
    let path = format!("/Users/{}", ids[0]);
    let refused = world.patch(&path, active(false)).await.expect(400);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("refused to remove the member"), "{detail}");
    let told = here(&world).await;
    assert_eq!(told["refusedResources"][0]["resourceType"], "Group");
    let user = &told["refusedResources"][1];
    assert_eq!(
        (&user["id"], &user["asked"]),
        (&json!(ids[0]), &json!("deactivate"))
    );
    let one = &told["refusedMemberships"][0];
    let of = (&one["user"], &one["group"], &one["asked"]);
    assert_eq!(of, (&json!(ids[0]), &json!(dev), &json!("remove")));
    world.faults(json!({ "rules": [no] })).await;
    world.patch(&path, active(false)).await.expect(200);
    world.until_upstream_has("dev", &addresses(&["m1"])).await;
    let told = here(&world).await;
    assert_eq!(
        (&told["refused"]["users"], &told["refusedMemberships"]),
        (&json!(0), &json!([]))
    );
}

/// The application refused to delete the group, and somebody did it there since.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_group_that_stayed_and_is_gone_all_the_same_has_left() {
    let rules = "read_lag = \"100ms\"\nlate_writes = \"1s\"\nsync_wait = \"300ms\"\nguard = { enabled = false }";
    let world = World::of(Application::DeclaredForEver, rules).await;
    let ids = world.users("m", 3).await;
    let crew = world.group("crew", &ids).await;
    let refused = json!({ "status": { "status": 400 } });
    world
        .faults(json!({ "rules": [{ "failure": refused, "operation": "delete_group" }] }))
        .await;
    let path = format!("/Groups/{crew}");
    world.send("DELETE", &path, None).await.expect(400);
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    let told = until_told(&world, "it stays there", |it| {
        it["refused"]["groups"] == 1 && it["unsettled"] == nothing
    })
    .await;
    assert_eq!(told["refusedResources"][0]["id"], crew, "{told:#}");
    world.faults(json!({})).await;
    let there = "/api/v2/groupmanagement/group/crew";
    world.as_administrator("DELETE", there, Value::Null).await;
    world.forget_calls().await;
    let user = format!("/Users/{}", ids[0]);
    world.patch(&user, active(false)).await.expect(200);
    until_told(&world, "all is done", |it| {
        nothing_is_pending(it) && it["refused"]["groups"] == 0
    })
    .await;
    // That one reading misses the group is not believed for a while.
    let calls = world.calls().await;
    assert!(calls.len() < 60, "{}: {calls:#?}", calls.len());
    world.forget_calls().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.calls().await, Vec::<Value>::new());
    // Nothing keeps who has its name next.
    world.group("crew", &ids[1..]).await;
    world
        .until_upstream_has("crew", &addresses(&["m1", "m2"]))
        .await;
    world.overlook().await;
}
