//! What a reconciliation tells, however much there is of it, and whatever cannot be
//! read beside it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Application, World, address, eventually, user, values};

/// What is to happen must have happened after this long.
const PATIENCE: Duration = Duration::from_secs(30);
const SOON: &str = "read_lag = \"100ms\"";

fn reconciles(world: &World, more: &[&str]) -> (String, bool) {
    let (said, wrong, ok) = world.run(&[&["reconcile"], more].concat());
    let said = format!("{said}{wrong}");
    (said.split_whitespace().collect::<Vec<_>>().join(" "), ok)
}

async fn by_hand(world: &World, method: &str, group: &str, members: &[String]) {
    let path = format!("/api/v2/groupmanagement/group/{group}/members");
    let members = json!({ "members": members });
    world.as_administrator(method, &path, members).await;
}

#[tokio::test]
async fn who_was_deleted_and_made_anew_is_told_where_the_membership_of_before_is_there() {
    let world = World::of(Application::DeclaredForEver, SOON).await;
    let users = world.users("n", 3).await;
    world.group("kept", &users).await;
    world.group("other", &users[1..]).await;
    let path = format!("/Users/{}", users[0]);
    world.send("DELETE", &path, None).await.expect(204);
    let left = [address("n1"), address("n2")].into();
    world.until_upstream_has("kept", &left).await;
    let end = Instant::now() + Duration::from_secs(10);
    while world.status().await["connections"][0]["pending"]["users"] != 0 {
        assert!(Instant::now() < end, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = world.users("n", 1).await;
    assert_ne!(again[0], users[0]);
    // Never a member of this one, so that it is nothing that was taken away.
    by_hand(&world, "POST", "other", &[address("n0")]).await;
    let (said, ok) = reconciles(&world, &[]);
    assert!(ok && said.contains(&format!("? {}", again[0])), "{said}");
    by_hand(&world, "POST", "kept", &[address("n0")]).await;
    for more in [&[][..], &["--apply"]] {
        let (said, ok) = reconciles(&world, more);
        let told = format!("! {} is there, though removed here at 2", again[0]);
        assert!(!ok && said.contains(&told), "{said}");
        assert!(said.contains("1 members were never asked for"), "{said}");
    }
}

#[tokio::test]
async fn who_was_removed_and_is_there_is_told_among_however_many_strangers() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("g", 2).await;
    let group = world.group("crowded", &users).await;
    let strangers: Vec<String> = (0..105).map(|n| address(&format!("a{n}"))).collect();
    for email in &strangers {
        let account = json!({
            "firstName": "A", "lastName": "Stranger", "email": email, "siteRole": "Users",
        });
        let path = "/api/v2/usermanagement/user";
        world.as_administrator("POST", path, account).await;
    }
    by_hand(&world, "POST", "crowded", &strangers).await;
    let remove = json!([{ "op": "remove", "path": "members", "value": values(&users[..1]) }]);
    let path = format!("/Groups/{group}");
    world.patch(&path, remove).await.expect(204);
    by_hand(&world, "POST", "crowded", &[address("g0")]).await;
    let (said, ok) = reconciles(&world, &[]);
    let told = format!("! {} is there, though removed here at 2", users[0]);
    assert!(!ok && said.contains(&told), "{said}");
    assert!(said.contains("105 members were never asked for"), "{said}");
    assert!(!world.run(&["status"]).2);
}

#[tokio::test]
async fn a_group_that_cannot_be_read_is_told_and_stops_no_others() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("r", 3).await;
    world.group("shut", &users).await;
    world.group("open", &users).await;
    let all = users
        .iter()
        .enumerate()
        .map(|(n, _)| address(&format!("r{n}")));
    let all = all.collect();
    for status in [404, 400, 403, 500] {
        by_hand(&world, "DELETE", "open", &[address("r1")]).await;
        by_hand(&world, "DELETE", "shut", &[address("r2")]).await;
        let failure = json!({ "status": { "status": status } });
        let rule = json!({ "operation": "get_members", "target": "shut", "failure": failure });
        world.faults(json!({ "rules": [rule] })).await;
        // A reading so soon after a write may lag, and then it is another one's turn.
        let end = Instant::now() + Duration::from_secs(10);
        let said = loop {
            let (said, ok) = reconciles(&world, &["--apply"]);
            assert!(!ok, "{status}: {said}");
            assert!(!said.contains("nothing was changed"), "{status}: {said}");
            if said.contains("1 memberships are missing") && !said.contains("it was written") {
                break said;
            }
            assert!(Instant::now() < end, "{status}: {said}");
        };
        assert!(said.contains("1 groups compared"), "{status}: {said}");
        assert!(said.contains("shut ("), "{status}: {said}");
        let words = "1 groups could not be read";
        assert!(said.contains(words), "{status}: {said}");
        world.until_upstream_has("open", &all).await;
        let (told, _, well) = world.run(&["status"]);
        assert!(!well && told.contains(words), "{status}: {told}");
        world.faults(json!({})).await;
        let end = Instant::now() + Duration::from_secs(10);
        while !reconciles(&world, &["--apply"]).1 || !reconciles(&world, &[]).1 {
            assert!(Instant::now() < end, "{status}: it is not put right");
        }
        world.until_upstream_has("shut", &all).await;
    }
}

#[tokio::test]
async fn groups_that_cannot_be_read_stop_none_however_many_they_are_in_a_row() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("r", 2).await;
    world.group("first", &users).await;
    // More than stop calls of one kind.
    let shut: Vec<String> = (0..11).map(|n| format!("shut{n}")).collect();
    for name in &shut {
        world.group(name, &users[..1]).await;
    }
    world.group("open", &users).await;
    by_hand(&world, "DELETE", "open", &[address("r1")]).await;
    let fails = |name: &String| {
        let failure = json!({ "status": { "status": 500 } });
        json!({ "operation": "get_members", "target": name, "failure": failure })
    };
    let rules: Vec<_> = shut.iter().map(fails).collect();
    world.faults(json!({ "rules": rules })).await;
    let (said, ok) = reconciles(&world, &["--apply"]);
    assert!(
        !ok && said.contains("11 groups could not be read"),
        "{said}"
    );
    assert!(said.contains("1 memberships are missing"), "{said}");
    world.faults(json!({})).await;
    let end = Instant::now() + PATIENCE;
    while !reconciles(&world, &["--apply"]).1 {
        assert!(Instant::now() < end, "what can be read again is told");
    }
    let all = [address("r0"), address("r1")].into();
    world.until_upstream_has("open", &all).await;
}

#[tokio::test]
async fn a_group_for_which_the_application_always_asks_for_a_pause_stops_no_others() {
    let world = World::with(SOON, &["--empty"]).await;
    let users = world.users("r", 2).await;
    for name in ["first", "shut", "open"] {
        world.group(name, &users).await;
    }
    by_hand(&world, "DELETE", "open", &[address("r1")]).await;
    let reads = |status: u16, target: Option<&str>| {
        let failure = json!({ "status": { "status": status } });
        json!({ "operation": "get_members", "target": target, "failure": failure })
    };
    world
        .faults(json!({ "rules": [reads(503, Some("shut"))] }))
        .await;
    let end = Instant::now() + PATIENCE;
    let said = loop {
        let (said, ok) = reconciles(&world, &["--apply"]);
        assert!(!ok && said.contains("1 groups could not be read"), "{said}");
        assert!(said.contains("shut ("), "{said}");
        if said.contains("1 memberships are missing") && !said.contains("it was written") {
            break said;
        }
        assert!(Instant::now() < end, "{said}");
    };
    assert!(said.contains("2 groups compared"), "{said}");
    let all = [address("r0"), address("r1")].into();
    world.until_upstream_has("open", &all).await;
    // With every call answered so it is down, and that is told as before.
    let failure = json!({ "status": { "status": 503 } });
    let down = json!({ "failure": failure });
    world.faults(json!({ "rules": [down] })).await;
    let (said, ok) = reconciles(&world, &["--apply"]);
    assert!(!ok && said.contains("nothing was changed"), "{said}");
}

/// The application has no way to change the address of an account, and says so nowhere.
#[tokio::test]
async fn an_account_that_keeps_the_address_of_before_is_told() {
    let world = World::start().await;
    let ann = world.users("ann", 1).await.remove(0);
    let path = format!("/Users/{ann}");
    let renamed = |name: &str| json!([{ "op": "replace", "value": { "userName": address(name) } }]);
    let told = async || world.status().await["connections"][0]["otherAddress"].clone();
    assert_eq!(told().await, json!([]));
    world.patch(&path, renamed("bob")).await.expect(200);
    assert_eq!(told().await, json!([ann]));
    let (said, wrong, ok) = world.run(&["status"]);
    assert!(ok && said.contains("another address"), "{said}{wrong}");
    world.patch(&path, renamed("ann0")).await.expect(200);
    assert_eq!(told().await, json!([]));
}

/// An account is made by the address that is said when it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn whose_address_changes_before_an_account_was_asked_for_gets_it_by_the_new_one() {
    let world = World::with("sync_wait = \"200ms\"", &["--empty"]).await;
    let crew = world.group("crew", &[]).await;
    let renamed = |name: &str| json!([{ "op": "replace", "value": { "userName": address(name) } }]);
    let made = async |name: &str| {
        let state = world.state().await;
        let mut users = state["users"].as_array().unwrap().iter();
        users.any(|it| it["email"] == address(name))
    };
    let told = async || {
        let status = world.status().await["connections"][0].clone();
        (
            status["otherAddress"].clone(),
            status["refused"]["users"].clone(),
        )
    };
    assert!(world.run(&["pause"]).2);
    let id = world.post("/Users", user("tipo")).await.id();
    let path = format!("/Users/{id}");
    let add = json!([{ "op": "add", "path": "members", "value": values(&[id.clone()]) }]);
    world.patch(&format!("/Groups/{crew}"), add).await;
    world.patch(&path, renamed("typo")).await;
    // What the application refuses by that address as well.
    let refusal = json!({ "failure": { "status": { "status": 400 } }, "operation": "create_user" });
    world.faults(json!({ "rules": [refusal] })).await;
    assert!(world.run(&["resume"]).2);
    eventually("the account is refused", async || {
        told().await.1 == json!(1)
    })
    .await;
    world.faults(json!({})).await;
    world.patch(&path, renamed("right")).await.expect(200);
    world
        .until_upstream_has("crew", &[address("right")].into())
        .await;
    assert!(!made("tipo").await && !made("typo").await);
    assert_eq!(told().await.0, json!([]));

    // One that may be there by now is not left for another.
    let lost = json!({ "failure": "error_after", "operation": "create_user", "next": 1 });
    world
        .faults(json!({ "rules": [lost], "read_lag_ms": 1_000 }))
        .await;
    let id = world.post("/Users", user("lost")).await.id();
    world.patch(&format!("/Users/{id}"), renamed("found")).await;
    eventually("the other address is told", async || {
        told().await.0 == json!([id])
    })
    .await;
    assert!(made("lost").await && !made("found").await);
}
