//! What a lying or lagging application, and an import in the middle of it all,
//! must not be able to do (reliability, H-05, H-12, I-03).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, user, values};

fn rule(failure: Value, operation: &str, next: u64) -> Value {
    json!({ "rules": [{ "failure": failure, "operation": operation, "next": next }] })
}

fn operations(calls: &[Value]) -> Vec<&str> {
    calls
        .iter()
        .filter_map(|call| call["operation"].as_str())
        .collect()
}

async fn remote(world: &World, email: &str) -> Value {
    let state = world.state().await;
    let users = state["users"].as_array().unwrap();
    let found = users.iter().find(|user| user["email"] == email);
    found.cloned().unwrap_or(Value::Null)
}

/// An account that was there before the bridge asked for it is not ours only
/// because the answer to our request for it was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_does_not_make_a_group_of_others_ours() {
    let world = World::with("import = \"never\"", &[]).await;
    let state = world.state().await;
    let groups = state["groups"].as_array().unwrap();
    let theirs = groups
        .iter()
        .find(|group| {
            let name = group["name"].as_str().unwrap();
            let plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let members = group["members"].as_array().unwrap().len();
            plain && name.len() < 25 && members > 0 && group["isSync"] != true
        })
        .unwrap();
    let name = theirs["name"].as_str().unwrap();
    let own = world.user("newcomer").await;
    world
        .faults(rule(json!("error_before"), "create_group", 1))
        .await;
    let reply = world
        .post("/Groups", crate::support::group(name, &[own]))
        .await
        .expect(409);
    assert_eq!(reply.body["scimType"], "uniqueness", "{reply:?}");
    let before = theirs["members"].as_array().unwrap().len();
    assert_eq!(world.upstream_members(name).await.unwrap().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_members_cannot_be_read_is_left_out_alone() {
    let mut world = World::with("import = \"never\"", &[]).await;
    let state = world.state().await;
    let there = state["groups"].as_array().unwrap().len();
    let refused = json!({ "status": { "status": 400 } });
    world.faults(rule(refused, "get_members", 1)).await;
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import"]);
    assert!(ok, "{said}{wrong}");
    assert!(wrong.contains("left as they are"), "and logged: {wrong}");
    world.start_bridge();
    let shown = world.get("/Groups?count=0").await.expect(200);
    assert_eq!(shown.body["totalResults"], there - 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_taken_away_goes_back_to_the_plain_one() {
    let world = World::start().await;
    let mut body = user("boss");
    body["roles"] = json!([{ "value": "Administrators", "primary": true }]);
    let id = world.post("/Users", body).await.expect(201).id();
    let path = format!("/Users/{id}");
    assert_eq!(
        remote(&world, &address("boss")).await["site_role"],
        "Administrators"
    );
    // A PUT that does not speak of roles changes nothing about them.
    let (reply, calls) = world.calls_of(world.put(&path, user("boss"))).await;
    reply.expect(200);
    assert!(calls.is_empty(), "{calls:#?}");
    let none = json!([{ "op": "remove", "path": "roles" }]);
    world.patch(&path, none).await.expect(200);
    assert_eq!(remote(&world, &address("boss")).await["site_role"], "Users");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_profile_takes_the_new_account_back() {
    let world = World::start().await;
    let refusal = json!({ "status": { "status": 400 } });
    world.faults(rule(refusal, "create_person", 1)).await;
    let mut body = user("half");
    body["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] =
        json!({ "department": "Platform" });
    world.post("/Users", body).await.expect(400);
    let end = Instant::now() + Duration::from_secs(10);
    while remote(&world, &address("half")).await["active"] == true {
        assert!(Instant::now() < end, "an account that nobody has");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_account_updates_the_record_that_it_has() {
    let world = World::start().await;
    let mut body = user("ann");
    body["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] =
        json!({ "department": "Platform" });
    let (reply, calls) = world.calls_of(world.post("/Users", body)).await;
    let path = format!("/Users/{}", reply.expect(201).id());
    assert_eq!(operations(&calls), ["create_user", "create_person"]);
    let active = |on: bool| json!([{ "op": "replace", "value": { "active": on } }]);
    world.patch(&path, active(false)).await.expect(200);
    let (reply, calls) = world.calls_of(world.patch(&path, active(true))).await;
    reply.expect(200);
    assert_eq!(operations(&calls), ["create_user", "update_person"]);
}

/// The read shows what was so before the account came into being.
#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_read_does_not_hide_an_account_that_is_to_go() {
    let world = World::start().await;
    world.faults(json!({ "read_lag_ms": 20_000 })).await;
    let path = format!("/Users/{}", world.user("quick").await);
    world
        .faults(json!({
            "read_lag_ms": 20_000,
            "rules": [{ "failure": "error_before", "operation": "deactivate_user", "next": 1 }],
        }))
        .await;
    let off = json!([{ "op": "replace", "value": { "active": false } }]);
    world.patch(&path, off).await.expect(200);
    assert_eq!(remote(&world, &address("quick")).await["active"], false);
}

/// A world whose application may be late by four seconds at most.
async fn late() -> World {
    World::with("sync_wait = \"1s\"\nlate_writes = \"4s\"", &["--empty"]).await
}

const LATE: fn() -> Value = || json!({ "late": { "after_ms": 3000 } });

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_that_lands_after_its_removal_is_taken_away_again() {
    let world = late().await;
    let users = world.users("u", 2).await;
    let path = format!("/Groups/{}", world.group("Developers", &users[..1]).await);
    world.faults(rule(LATE(), "add_members", 1)).await;
    let change =
        |op: &str| json!([{ "op": op, "path": "members", "value": [{ "value": users[1] }] }]);
    world.patch(&path, change("add")).await.expect(204);
    world.patch(&path, change("remove")).await.expect(204);
    let of_ours = || async { world.upstream_members("developers").await.unwrap() };
    assert_eq!(of_ours().await, [address("u0")].into());
    eventually("it lands", async || of_ours().await.len() == 2).await;
    eventually("it is taken away", async || of_ours().await.len() == 1).await;
    assert_eq!(
        world
            .members(path.trim_start_matches("/Groups/"))
            .await
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_lands_after_its_addition_is_made_good() {
    let world = late().await;
    let users = world.users("u", 2).await;
    let path = format!("/Groups/{}", world.group("Developers", &users).await);
    world.faults(rule(LATE(), "remove_members", 1)).await;
    let change =
        |op: &str| json!([{ "op": op, "path": "members", "value": [{ "value": users[1] }] }]);
    world.patch(&path, change("remove")).await.expect(204);
    world.patch(&path, change("add")).await.expect(204);
    let of_ours = || async { world.upstream_members("developers").await.unwrap() };
    eventually("it lands", async || of_ours().await.len() == 1).await;
    eventually("it is put back", async || of_ours().await.len() == 2).await;
}

async fn site_role(world: &World) -> String {
    let role = &remote(world, &address("u0")).await["site_role"];
    role.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_role_that_lands_after_the_next_one_is_put_right() {
    for dies in [false, true] {
        let mut world = late().await;
        let path = format!("/Users/{}", world.user("u0").await);
        world.faults(rule(LATE(), "set_site_role", 1)).await;
        let give = |role: &str| {
            let roles = json!([{ "value": role }]);
            json!([{ "op": "replace", "path": "roles", "value": roles }])
        };
        world.patch(&path, give("Administrators")).await.expect(200);
        if dies {
            world.kill_and_restart();
        }
        world.patch(&path, give("Users")).await.expect(200);
        assert_eq!(site_role(&world).await, "Users");
        let told = &world.status().await["connections"][0]["unsettled"];
        assert_eq!(told["users"], 1, "{told:#}");
        let has = async |role: &str| site_role(&world).await == role;
        eventually("it lands", async || has("Administrators").await).await;
        eventually("it is put right", async || has("Users").await).await;
    }
}

/// By an application that does not tell of who is one already.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_was_only_read_to_be_one_is_not_added_for_ever() {
    let rules = "sync_wait = \"1s\"\nlate_writes = \"1s\"\nread_lag = \"100ms\"";
    let world = World::of(Application::Declared, rules).await;
    let users = world.users("u", 2).await;
    let path = format!("/Groups/{}", world.group("developers", &users[..1]).await);
    world
        .faults(rule(json!("error_after"), "add_members", 1))
        .await;
    world.forget_calls().await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": users[1] }] }]);
    world.patch(&path, add).await.expect(204);
    let additions = async || {
        let calls = world.calls().await;
        let added = calls.iter().filter(|it| it["operation"] == "add_members");
        added.count()
    };
    eventually("it is said again", async || additions().await > 2).await;
    // As often as it takes, and then no more in the time of three doubts.
    let mut before = 0;
    for _ in 0..4 {
        let now = additions().await;
        if now == before {
            return;
        }
        before = now;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    panic!("{before} additions, and no end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_created_after_its_end_is_ended_again() {
    let world = late().await;
    world.faults(rule(LATE(), "create_user", 1)).await;
    let id = world.user("ghost").await;
    let path = format!("/Users/{id}");
    let off = json!([{ "op": "replace", "value": { "active": false } }]);
    // The simulator knows the account by now or not yet; both ways it must go.
    world.patch(&path, off).await.expect(200);
    world.send("DELETE", &path, None).await.expect(204);
    tokio::time::sleep(Duration::from_millis(1700)).await;
    eventually("it is gone", async || {
        remote(&world, &address("ghost")).await["active"] != true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_created_after_its_deletion_is_deleted_again() {
    let world = late().await;
    let users = world.users("u", 2).await;
    world.faults(rule(LATE(), "create_group", 1)).await;
    let path = format!("/Groups/{}", world.group("Ghosts", &users).await);
    world.send("DELETE", &path, None).await.expect(204);
    assert_eq!(world.upstream_members("ghosts").await, None);
    eventually("it lands", async || {
        world.upstream_members("ghosts").await.is_some()
    })
    .await;
    eventually("it is gone", async || {
        world.upstream_members("ghosts").await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_deleted_after_it_was_made_again_is_made_again() {
    let world = late().await;
    let users = world.users("u", 2).await;
    let path = format!("/Groups/{}", world.group("Phoenix", &users).await);
    world.faults(rule(LATE(), "delete_group", 1)).await;
    world.send("DELETE", &path, None).await.expect(204);
    world.group("Phoenix", &users).await;
    eventually("it lands", async || {
        world.upstream_members("phoenix").await.is_none()
    })
    .await;
    eventually("it is back", async || {
        let members = world.upstream_members("phoenix").await;
        members.is_some_and(|members| members.len() == 2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_addition_of_a_deleted_user_is_not_inherited_by_its_successor() {
    let world = late().await;
    let users = world.users("u", 2).await;
    let group = world.group("Developers", &users[..1]).await;
    world.faults(rule(LATE(), "add_members", 1)).await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": users[1] }] }]);
    world
        .patch(&format!("/Groups/{group}"), add)
        .await
        .expect(204);
    world
        .send("DELETE", &format!("/Users/{}", users[1]), None)
        .await
        .expect(204);
    let heir = world.user("u1").await;
    eventually("the successor has its account", async || {
        remote(&world, &address("u1")).await["active"] == true
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        world.upstream_members("developers").await.unwrap(),
        [address("u0")].into()
    );
    assert!(!world.members(&group).await.contains(&heir));
}

/// One call finds out; the others wait until there is another credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_stops_writing_until_there_is_another() {
    let world = World::with("sync_wait = \"200ms\"", &["--empty"]).await;
    let users = world.users("u", 8).await;
    world.upstream_token("expired-token-0123456789abcdef");
    world.forget_calls().await;
    for n in 0..8 {
        world.group(&format!("team{n}"), &users).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = world.calls().await.len();
    assert!((1..=2).contains(&refused), "{refused} calls");
    world.restore_upstream_token();
    let everybody = (0..8).map(|n| address(&format!("u{n}"))).collect();
    for n in 0..8 {
        let name = format!("team{n}");
        world.until_upstream_has(&name, &everybody).await;
    }
}

/// A call that was given up and lands after something newer was done is undone
/// within the longest that one can land late, whenever it lands (I-03).
#[tokio::test(flavor = "multi_thread")]
async fn what_lands_late_is_undone_before_the_time_in_which_a_call_can_land_has_passed_again() {
    let rules = "late_writes = \"6s\"\nread_lag = \"200ms\"\nsync_wait = \"200ms\"";
    let world = World::with(rules, &["--empty"]).await;
    let users = world.users("u", 2).await;
    let path = format!("/Groups/{}", world.group("crew", &users[..1]).await);
    // Who stays and is taken out late, and who goes and is added late.
    for (who, late, newer) in [(0, "remove", "add"), (1, "add", "remove")] {
        for lands in [300, 2_000, 4_500] {
            let failure = json!({ "late": { "after_ms": lands } });
            let members = format!("{late}_members");
            world.faults(rule(failure, &members, 1)).await;
            let began = Instant::now();
            for op in [late, newer] {
                let ops =
                    json!([{ "op": op, "path": "members", "value": values(&users[who..=who]) }]);
                world.patch(&path, ops).await.expect(204);
            }
            let account = address(&format!("u{who}"));
            let is_wrong = async || {
                let there = world.upstream_members("crew").await.unwrap();
                there.contains(&account) != (newer == "add")
            };
            let landing = began + Duration::from_millis(lands);
            tokio::time::sleep_until(
                landing
                    .checked_sub(Duration::from_millis(50))
                    .unwrap()
                    .into(),
            )
            .await;
            while !is_wrong().await {
                assert!(began.elapsed() < Duration::from_secs(6), "it never lands");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let landed = Instant::now();
            while is_wrong().await {
                let lived = landed.elapsed();
                assert!(
                    lived < Duration::from_secs(5),
                    "{late} after {lands} ms: {lived:?}"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Whatever is said once more at the end of it.
            tokio::time::sleep_until((began + Duration::from_secs(9)).into()).await;
            assert!(!is_wrong().await);
        }
    }
}
