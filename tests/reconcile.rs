//! What changes in the application behind the bridge's back: told, repaired or
//! accepted, and never on the strength of one reading.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Application, World, address};

const SOON: &str = "read_lag = \"100ms\"";

/// Takes members out of a group as an administrator of the application would.
async fn takes_out(world: &World, group: &str, members: &[&str]) {
    let path = format!("/api/v2/groupmanagement/group/{group}/members");
    let members: Vec<String> = members.iter().map(|name| address(name)).collect();
    let body = json!({ "members": members });
    world.as_administrator("DELETE", &path, body).await;
}

fn reconciles(world: &World, more: &[&str]) -> (String, bool) {
    let (said, wrong, ok) = world.run(&[&["reconcile"], more].concat());
    (format!("{said}{wrong}"), ok)
}

/// How many calls the application saw that change something.
async fn writes(world: &World) -> usize {
    let calls = world.calls().await;
    calls.iter().filter(|call| call["method"] != "GET").count()
}

fn addresses(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

#[tokio::test]
async fn a_membership_that_is_gone_is_told_and_put_there_again_on_demand() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("m", 4).await;
    world.group("watched", &users).await;
    let (said, ok) = reconciles(&world, &[]);
    assert!(ok && said.contains("0 memberships are missing"), "{said}");

    takes_out(&world, "watched", &["m1", "m2"]).await;
    world.forget_calls().await;
    let (said, ok) = reconciles(&world, &[]);
    assert!(!ok && said.contains("2 memberships are missing"), "{said}");
    assert!(
        said.contains(&users[1]) && said.contains(&users[2]),
        "{said}"
    );
    assert!(!said.contains(&users[0]), "{said}");
    assert_eq!(writes(&world).await, 0, "telling writes nothing");

    let (said, ok) = reconciles(&world, &["--apply"]);
    assert!(ok, "{said}");
    let all = addresses(&["m0", "m1", "m2", "m3"]);
    world.until_upstream_has("watched", &all).await;
    assert_eq!(writes(&world).await, 1, "one call for both");
    let (said, ok) = reconciles(&world, &[]);
    assert!(ok, "{said}");
    let status = world.status().await;
    assert_eq!(
        status["connections"][0]["lastReconciliation"]["missing"], 0,
        "{status:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_application_refuses_of_a_repair_is_no_success() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("m", 3).await;
    world.group("watched", &users).await;
    takes_out(&world, "watched", &["m1"]).await;
    world
        .faults(json!({ "refuse_members": [address("m1")] }))
        .await;
    // A reading so soon after a write may lag, and then it is another one's turn.
    let end = Instant::now() + Duration::from_secs(10);
    let (said, ok) = loop {
        let (said, ok) = reconciles(&world, &["--apply"]);
        if said.contains("1 memberships are missing") && !said.contains("it was written") {
            break (said, ok);
        }
        assert!(Instant::now() < end, "{said}");
    };
    assert!(!ok, "{said}");
    let words = "1 changes are refused by the application";
    assert!(said.contains(words), "{said}");
}

#[tokio::test]
async fn who_was_removed_and_is_given_it_back_is_told_apart_from_who_was_never_asked_for() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("g", 4).await;
    let group = world.group("given", &users[..3]).await;
    let path = format!("/Groups/{group}");
    let going = crate::support::values(&users[..2]);
    let remove = json!([{ "op": "remove", "path": "members", "value": going }]);
    world.patch(&path, remove).await.expect(204);
    let added = json!({ "members": [address("g0"), address("g3")] });
    let there = "/api/v2/groupmanagement/group/given/members";
    world.as_administrator("POST", there, added).await;

    let (said, ok) = reconciles(&world, &[]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!ok && said.contains("take that away there"), "{said}");
    let (left, ok) = reconciles(&world, &["--apply"]);
    assert!(
        !ok && left.contains("1 memberships are there, though they were taken away"),
        "{left}"
    );
    assert!(said.contains("1 members were never asked for"), "{said}");
    assert!(said.contains(&format!("? {}", users[3])), "{said}");
    let removed = format!("! {} is there, though removed here at 2", users[0]);
    assert!(
        said.contains(&removed) && said.contains("given back"),
        "{said}"
    );
    let (told, _, well) = world.run(&["status"]);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = "1 memberships are there, though they were taken away here";
    assert!(!well && told.contains(line), "{told}");
    assert!(!said.contains(&format!("? {}", users[0])), "{said}");
    assert!(!said.contains(&users[1]), "{said}");
    let status = world.status().await;
    let found = &status["connections"][0]["lastReconciliation"];
    assert_eq!(found["given_back"], 1, "{found:#}");
    assert_eq!(found["details"][0]["given_back"][0]["user"], users[0]);
    let (url, token) = world.operator();
    let metrics = world.client.get(format!("{url}/metrics"));
    let metrics = metrics.bearer_auth(token).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = "drawbridge_drift_given_back{connection=\"acme\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
    // Asked for again, and no more, it is nobody's gift.
    let add =
        json!([{ "op": "add", "path": "members", "value": crate::support::values(&users[..1]) }]);
    world.patch(&path, add).await.expect(204);
    let (said, _) = reconciles(&world, &[]);
    assert!(!said.contains("given back"), "{said}");
    let (told, _, well) = world.run(&["status"]);
    assert!(well, "{told}");
}

#[tokio::test]
async fn who_was_deleted_and_is_put_back_by_hand_is_told_by_the_application_s_id() {
    let world = World::of(Application::DeclaredForEver, SOON).await;
    let users = world.users("d", 3).await;
    world.group("given", &users).await;
    let path = format!("/Users/{}", users[0]);
    world.send("DELETE", &path, None).await.expect(204);
    let left = addresses(&["d1", "d2"]);
    world.until_upstream_has("given", &left).await;
    let end = Instant::now() + Duration::from_secs(10);
    while world.status().await["connections"][0]["pending"]["users"] != 0 {
        assert!(Instant::now() < end, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(reconciles(&world, &[]).1);
    let added = json!({ "members": [address("d0")] });
    let there = "/api/v2/groupmanagement/group/given/members";
    world.as_administrator("POST", there, added).await;
    let state = world.state().await;
    let all = state["users"].as_array().unwrap().iter();
    let account = all.clone().find(|user| user["email"] == address("d0"));
    let account = account.unwrap()["id"].as_str().unwrap();
    for more in [&[][..], &["--apply"]] {
        let (said, ok) = reconciles(&world, more);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = format!("! the account {account} of a User who was deleted here at 2");
        assert!(!ok && said.contains(&told), "{said}");
    }
}

#[tokio::test]
async fn where_drift_is_accepted_the_membership_is_none_any_more() {
    let world = World::with(&format!("{SOON}\ndrift = \"accept\""), &["--empty"]).await;
    let users = world.users("a", 3).await;
    let group = world.group("accepting", &users).await;
    takes_out(&world, "accepting", &["a0"]).await;
    world.forget_calls().await;
    // A reading so soon after a write may lag, and then does nothing.
    let end = Instant::now() + Duration::from_secs(10);
    while world.members(&group).await.len() > 2 {
        let (said, _) = reconciles(&world, &["--apply"]);
        assert!(Instant::now() < end, "{said}");
    }
    let left: std::collections::BTreeSet<String> = users[1..].iter().cloned().collect();
    assert_eq!(world.members(&group).await, left);
    let (said, ok) = reconciles(&world, &[]);
    assert!(ok, "{said}");
    assert_eq!(writes(&world).await, 0, "nothing was written there");
}

#[tokio::test]
async fn a_group_that_shrank_by_more_than_half_or_is_gone_is_only_told() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("s", 12).await;
    world.group("shrinking", &users).await;
    world.group("vanishing", &users[..2]).await;
    let out: Vec<String> = (0..7).map(|n| format!("s{n}")).collect();
    takes_out(
        &world,
        "shrinking",
        &out.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    world
        .as_administrator(
            "DELETE",
            "/api/v2/groupmanagement/group/vanishing",
            Value::Null,
        )
        .await;
    world.forget_calls().await;
    let (said, _) = reconciles(&world, &["--apply"]);
    assert!(said.contains("more than half"), "{said}");
    assert!(said.contains("not there any more"), "{said}");
    let (again, _) = reconciles(&world, &["--apply"]);
    assert!(again.contains("7 memberships are missing"), "{again}");
    assert!(
        again.contains("more than half"),
        "so soon after it: {again}"
    );
    assert_eq!(writes(&world).await, 0, "nothing was written there");
    // The operator's word.
    let (said, ok) = reconciles(&world, &["--apply", "--shrunk"]);
    assert!(!said.contains("more than half"), "{said}");
    // A group that is gone stays so, and that is no success.
    assert!(!ok && said.contains("1 groups are gone"), "{said}");
    let all: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    world
        .until_upstream_has("shrinking", &addresses(&all))
        .await;
}

/// What an earlier process had read, or begun to repair, says nothing of how it
/// stands now.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_look_after_a_start_is_at_everything() {
    for applied in [false, true] {
        let rules = format!("{SOON}\nguard = {{}}\nreconcile = \"24h\"");
        let mut world = World::with(&rules, &["--empty"]).await;
        let users = world.users("c", 24).await;
        world.group("early", &users).await;
        let out: Vec<String> = (0..11).map(|n| format!("c{n}")).collect();
        let out: Vec<&str> = out.iter().map(String::as_str).collect();
        takes_out(&world, "early", &out).await;
        world.forget_calls().await;
        tokio::task::block_in_place(|| {
            world.stop_bridge();
            let left = json!({ "started": 1, "after": 1_000_000, "applied": applied });
            world.tamper(&format!("UPDATE reconciliations SET state = '{left}'"));
            world.start_bridge();
        });
        let end = Instant::now() + Duration::from_secs(20);
        while world.status().await["connections"][0]["recovery"].is_null() {
            assert!(Instant::now() < end, "no recovery began");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(writes(&world).await, 0, "nothing was written there");
    }
}

#[tokio::test]
async fn more_than_one_in_twenty_missing_begins_recovery_and_nothing_is_put_right() {
    let rules = format!("{SOON}\nguard = {{}}");
    let world = World::with(&rules, &["--empty"]).await;
    let users = world.users("t", 24).await;
    for group in ["first", "second"] {
        world.group(group, &users).await;
    }
    // Less than half of any group, and eleven of 48.
    takes_out(&world, "first", &["t0", "t1", "t2", "t3", "t4", "t5"]).await;
    takes_out(&world, "second", &["t6", "t7", "t8", "t9", "t10"]).await;
    world.forget_calls().await;
    let (said, ok) = reconciles(&world, &["--apply"]);
    assert!(!ok && said.contains("11 memberships are missing"), "{said}");
    assert!(said.contains("in recovery"), "{said}");
    let status = world.status().await;
    let why = status["connections"][0]["recovery"].to_string();
    assert!(why.contains("one in twenty"), "{status:#}");
    assert_eq!(writes(&world).await, 0, "nothing was written there");
    let (_, _, ok) = world.run(&["recovery", "end", "--connection", "acme"]);
    assert!(ok);
    let (said, ok) = reconciles(&world, &["--apply"]);
    assert!(ok, "{said}");
    let all: Vec<String> = (0..24).map(|n| format!("t{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for group in ["first", "second"] {
        world.until_upstream_has(group, &addresses(&all)).await;
    }
}

#[tokio::test]
async fn a_reading_that_lags_or_fails_changes_nothing() {
    let world = World::with("read_lag = \"3s\"", &["--empty"]).await;
    let users = world.users("l", 3).await;
    let group = world.group("lagging", &users[..1]).await;
    // The application shows for two seconds what was so before.
    world.faults(json!({ "read_lag_ms": 2000 })).await;
    let add =
        json!([{ "op": "add", "path": "members", "value": crate::support::values(&users[1..]) }]);
    world.patch(&format!("/Groups/{group}"), add).await;
    world.forget_calls().await;
    let (said, ok) = reconciles(&world, &["--apply"]);
    assert!(ok && said.contains("0 memberships are missing"), "{said}");
    let broken = json!({ "rules": [{ "failure": "truncated", "operation": "get_members" }] });
    world.faults(broken).await;
    let (said, ok) = reconciles(&world, &["--apply"]);
    assert!(!ok && said.contains("nothing was changed"), "{said}");
    assert_eq!(writes(&world).await, 0, "nothing was written there");
    assert_eq!(world.members(&group).await.len(), 3);
}

#[tokio::test]
async fn an_account_that_was_ended_and_is_back_is_ended_again() {
    let world = World::with(SOON, &["--empty"]).await;
    let user = world.user("back").await;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    world
        .patch(&format!("/Users/{user}"), off)
        .await
        .expect(200);
    let body = json!({ "email": address("back"), "firstName": "B", "lastName": "K" });
    world
        .as_administrator("POST", "/api/v2/usermanagement/user", body)
        .await;
    let (said, _) = reconciles(&world, &["--apply"]);
    assert!(said.contains("1 that were ended are back"), "{said}");
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let (said, ok) = reconciles(&world, &[]);
        if ok {
            return;
        }
        assert!(Instant::now() < end, "{said}");
    }
}

/// Ended by hand, it is told, nobody is put into a group by it, and it is made anew
/// when its User is asked for once more.
#[tokio::test]
async fn an_account_that_is_gone_is_made_again_when_its_user_is_asked_for() {
    let world = World::with(&format!("{SOON}\nreactivate = \"recreate\""), &["--empty"]).await;
    let users = world.users("e", 3).await;
    world.group("crew", &users).await;
    let path = format!("/api/v2/usermanagement/user/{}", address("e1"));
    world.as_administrator("DELETE", &path, Value::Null).await;
    takes_out(&world, "crew", &["e1"]).await;
    let done = async |what: &str| world.status().await["connections"][0]["asAsked"][what].clone();
    let as_asked = async || done("users").await;
    let end = Instant::now() + Duration::from_secs(10);
    while as_asked().await != json!({ "done": 2, "all": 3 }) {
        reconciles(&world, &["--apply"]);
        assert!(Instant::now() < end, "{}", as_asked().await);
    }
    let of_two = json!({ "done": 2, "all": 3 });
    assert_eq!(
        done("memberships").await,
        of_two,
        "nobody without an account is in it"
    );
    world.forget_calls().await;
    let (said, ok) = reconciles(&world, &["--apply"]);
    assert!(!ok && said.contains("1 accounts are gone"), "{said}");
    assert_eq!(writes(&world).await, 0, "not before it is asked for");
    let on = json!([{ "op": "replace", "path": "active", "value": true }]);
    let user = format!("/Users/{}", users[1]);
    world.patch(&user, on).await.expect(200);
    let all = addresses(&["e0", "e1", "e2"]);
    world.until_upstream_has("crew", &all).await;
    let all = json!({ "done": 3, "all": 3 });
    assert_eq!(
        (as_asked().await, done("memberships").await),
        (all.clone(), all)
    );
}

#[tokio::test]
async fn what_the_guard_rails_would_stop_is_not_accepted_at_once() {
    let guard = "guard = { group_removals = { more_than = 3, percent = 10 } }";
    let rules = format!("{SOON}\ndrift = \"accept\"\n{guard}");
    let world = World::with(&rules, &["--empty"]).await;
    let users = world.users("a", 12).await;
    let group = world.group("accepting", &users).await;
    takes_out(&world, "accepting", &["a0", "a1", "a2", "a3"]).await;
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let (said, ok) = reconciles(&world, &["--apply"]);
        assert!(!ok && world.members(&group).await.len() == 12, "{said}");
        if said.contains("too many memberships would end") {
            break;
        }
        assert!(Instant::now() < end, "{said}");
    }
    reconciles(&world, &["--apply", "--shrunk"]);
    assert_eq!(world.members(&group).await.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reconciliation_left_is_told_until_it_is_no_more() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("p", 3).await;
    let group = world.group("vanishing", &users[..2]).await;
    world.group("staying", &users[..2]).await;
    let deleted = "/api/v2/groupmanagement/group/vanishing";
    world.as_administrator("DELETE", deleted, Value::Null).await;
    takes_out(&world, "staying", &["p0"]).await;
    let all = addresses(&["p0", "p1"]);
    // A reading so soon after a write may lag.
    let end = Instant::now() + Duration::from_secs(10);
    let known = async || world.status().await["connections"][0]["refused"]["groups"] == 1;
    while world.upstream_members("staying").await.as_ref() != Some(&all) || !known().await {
        assert!(
            Instant::now() < end,
            "not put there again, or not known to be gone"
        );
        reconciles(&world, &["--apply"]);
    }

    let (said, ok) = told(&world);
    assert!(!ok && said.contains("differs"), "{said}");
    // What was put there again is well.
    assert!(said.contains("1 groups, 2 memberships"), "{said}");
    let left = &world.status().await["connections"][0]["lastReconciliation"]["left"];
    let expected = json!({ "accounts": 0, "groups": 1, "memberships": 2 });
    assert_eq!(left, &expected);
    let (url, token) = world.operator();
    let metrics = world.client.get(format!("{url}/metrics"));
    let metrics = metrics.bearer_auth(token).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "groups{connection=\"acme\"} 1",
        "memberships{connection=\"acme\"} 2",
    ] {
        let line = format!("drawbridge_drift_{line}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    let never = "last_reconciliation_time_seconds{connection=\"acme\"} 0\n";
    assert!(!metrics.contains(never), "{metrics}");

    let add = json!([{ "op": "add", "path": "members",
        "value": crate::support::values(&users[2..]) }]);
    // It is known to be gone, so whoever asks for somebody in it has it made again.
    let path = format!("/Groups/{group}");
    world.patch(&path, add).await.expect(204);
    let all = addresses(&["p0", "p1", "p2"]);
    world.until_upstream_has("vanishing", &all).await;

    world.send("DELETE", &path, None).await.expect(204);
    // A reading so soon after a write may lag, and the deletion is a write.
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        reconciles(&world, &["--apply"]);
        let (said, ok) = told(&world);
        if ok {
            return;
        }
        assert!(Instant::now() < end, "{said}");
    }
}

/// Begins one that repairs, unless there is one under way.
async fn begins(world: &World) {
    let (url, token) = world.operator();
    let order = json!({ "connection": "acme", "apply": true, "shrunk": false });
    let begin = world.client.post(format!("{url}/reconcile")).json(&order);
    begin.bearer_auth(token).send().await.unwrap();
}

/// No reading of it is later than the last write by as much as one may lag.
#[tokio::test]
async fn a_group_that_is_written_all_the_time_is_put_right_too() {
    let world = World::with("read_lag = \"1s\"", &["--empty"]).await;
    let users = world.users("b", 4).await;
    let path = format!("/Groups/{}", world.group("busy", &users[..3]).await);
    takes_out(&world, "busy", &["b1"]).await;
    let one = crate::support::values(&users[3..]);
    let (mut written, end) = (Instant::now(), Instant::now() + Duration::from_secs(30));
    loop {
        for op in ["add", "remove"] {
            let change = json!([{ "op": op, "path": "members", "value": one }]);
            world.patch(&path, change).await.expect(204);
            let pause = written.elapsed();
            assert!(pause < Duration::from_millis(900), "{pause:?}: not busy");
            written = Instant::now();
        }
        let members = world.upstream_members("busy").await.unwrap();
        if members.contains(&address("b1")) {
            break;
        }
        assert!(Instant::now() < end, "never put right");
        begins(&world).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Memberships that the last reconciliation left, without those put back since.
async fn left(world: &World) -> u64 {
    let last = &world.status().await["connections"][0]["lastReconciliation"];
    last["left"]["memberships"].as_u64().unwrap()
}

/// What `status` says.
fn told(world: &World) -> (String, bool) {
    let (said, _, ok) = world.run(&["status"]);
    (said.split_whitespace().collect::<Vec<_>>().join(" "), ok)
}

#[tokio::test]
async fn who_is_told_as_missing_and_is_asked_for_once_more_is_put_there_again() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("m", 4).await;
    let group = world.group("watched", &users).await;
    let path = format!("/Groups/{group}");
    let add = |named: &[String]| {
        let value = crate::support::values(named);
        json!([{ "op": "add", "path": "members", "value": value }])
    };
    takes_out(&world, "watched", &["m1", "m2"]).await;
    world.forget_calls().await;
    // What is not known to be missing is as it is.
    world.patch(&path, add(&users[..1])).await.expect(204);
    let put = crate::support::group("watched", &users);
    world.put(&path, put.clone()).await.expect(200);
    assert_eq!(writes(&world).await, 0);

    let (said, ok) = reconciles(&world, &[]);
    assert!(!ok && said.contains("2 memberships are missing"), "{said}");
    assert_eq!(left(&world).await, 2);
    world.patch(&path, add(&users[..2])).await.expect(204);
    let three = addresses(&["m0", "m1", "m3"]);
    world.until_upstream_has("watched", &three).await;
    assert_eq!(writes(&world).await, 1);
    // It is told no more, and nobody has to read everything again for that.
    assert_eq!(left(&world).await, 1);
    let (said, ok) = told(&world);
    assert!(
        !ok && said.contains("people may lack access: 1 memberships"),
        "{said}"
    );
    world.put(&path, put.clone()).await.expect(200);
    let all = addresses(&["m0", "m1", "m2", "m3"]);
    world.until_upstream_has("watched", &all).await;
    assert_eq!(writes(&world).await, 2);
    assert_eq!(left(&world).await, 0);
    let (said, ok) = told(&world);
    assert!(ok, "{said}");

    // Once it is there again nothing is left to do.
    world.put(&path, put.clone()).await.expect(200);
    world.patch(&path, add(&users)).await.expect(204);
    assert_eq!(writes(&world).await, 2);
    // Also when somebody else has put it there.
    takes_out(&world, "watched", &["m3"]).await;
    let (said, ok) = reconciles(&world, &[]);
    assert!(!ok && said.contains("1 memberships are missing"), "{said}");
    let back = json!({ "members": [address("m3")] });
    let there = "/api/v2/groupmanagement/group/watched/members";
    world.as_administrator("POST", there, back).await;
    let (said, ok) = reconciles(&world, &[]);
    assert!(ok, "{said}");
    world.forget_calls().await;
    world.put(&path, put).await.expect(200);
    assert_eq!(writes(&world).await, 0);
}
