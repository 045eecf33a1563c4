//! Who was deleted and is made anew, while the account is there still.

use super::*;

fn addition(id: &str) -> Value {
    json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_made_anew_has_the_account_that_stayed_and_nothing_of_before() {
    let mut world = World::of(Application::DeclaredForEver, "").await;
    let mut ids = world.users("m", 2).await;
    let dev = world.group("dev", &ids).await;
    world.group("ops", &ids[..1]).await;
    for _ in 0..2 {
        let path = format!("/Users/{}", ids[0]);
        world.send("DELETE", &path, None).await.expect(204);
        is_only_in_adm(&world).await;
        let again = world.post("/Users", user("m0")).await.expect(201).id();
        assert_ne!(again, ids[0]);
        assert!(nothing_is_pending(&here(&world).await));
        assert_eq!(world.members(&dev).await, [ids[1].clone()].into());
        let path = format!("/Groups/{dev}");
        world.patch(&path, addition(&again)).await.expect(204);
        let both = addresses(&["m0", "m1"]);
        world.until_upstream_has("dev", &both).await;
        ids[0] = again;
    }
    world.kill_and_restart();
    world.import();
    let (said, wrong, _) = world.run(&["reconcile", "--apply"]);
    let both = addresses(&["m0", "m1"]);
    assert_eq!(
        world.upstream_members("dev").await,
        Some(both),
        "{said} {wrong}"
    );
    assert_eq!(world.upstream_members("ops").await, Some(addresses(&[])));
    let filter = format!("/Users?filter=userName%20eq%20%22{}%22", address("m0"));
    let found = world.get(&filter).await.expect(200).body;
    assert_eq!(found["totalResults"], 1, "{found}");
    assert_eq!(found["Resources"][0]["id"], ids[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_made_anew_gets_what_is_asked_for_after_the_removals_of_the_one_before() {
    let rules = "sync_wait = \"300ms\"";
    let mut world = World::of(Application::DeclaredForEver, rules).await;
    let ids = world.users("m", 2).await;
    let dev = world.group("dev", &ids).await;
    world.group("ops", &ids[..1]).await;
    let rules = json!({ "rules": [answers("remove_members", 429)] });
    world.faults(rules).await;
    let path = format!("/Users/{}", ids[0]);
    world.send("DELETE", &path, None).await.expect(204);
    let again = world.post("/Users", user("m0")).await.expect(201).id();
    let path = format!("/Groups/{dev}");
    world.patch(&path, addition(&again)).await.expect(204);
    world.kill_bridge();
    world.faults(json!({})).await;
    world.forget_calls().await;
    world.start_bridge();
    until_told(&world, "the end", nothing_is_pending).await;
    let both = addresses(&["m0", "m1"]);
    assert_eq!(world.upstream_members("dev").await, Some(both));
    assert_eq!(world.upstream_members("ops").await, Some(addresses(&[])));
    let calls = world.calls().await;
    let of_dev = calls.iter().filter(|call| {
        let path = call["path"].as_str().unwrap_or_default();
        call["method"] != "GET" && path.ends_with("/dev/members")
    });
    let methods: Vec<&Value> = of_dev.map(|call| &call["method"]).collect();
    assert_eq!(methods, [&json!("DELETE"), &json!("POST")]);
    world.overlook().await;
}
