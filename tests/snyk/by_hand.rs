//! What an administrator gives in Snyk while the bridge has something in doubt, or
//! after it was refused something: nobody asked for that, so nobody takes it away
//! or lowers it, as long as no call could have given just that.

use super::*;
use crate::sharing::roles::{ELSEWHERE, two_of_all};

const SOON: &str = "sync_wait = \"1s\"\nread_lag = \"200ms\"\nlate_writes = \"2s\"";
/// By then everything that was in doubt has been looked at.
const SETTLED: Duration = Duration::from_secs(4);
const EXAMPLE: &str = "10000000-0000-4000-8000-000000000001";

/// Somebody in Snyk sets the role of a user in Example to one that a member has.
pub async fn by_hand(world: &World, name: &str, role: &str) {
    let group = format!("/rest/groups/{EXAMPLE}/memberships");
    let version = "version=2025-11-05";
    let path = format!("{group}?{version}&limit=100");
    let shown = world.as_administrator("GET", &path, Value::Null).await;
    let all = shown["data"].as_array().unwrap();
    let data = |it: &Value, of: &str| it["relationships"][of]["data"].clone();
    let mut roles = all.iter().map(|it| data(it, "role"));
    let new = roles.find(|it| it["attributes"]["name"] == role);
    let one = |kind: &str, id: &Value| json!({ "data": { "type": kind, "id": id } });
    let new = one("group_role", &new.expect("a role")["id"]);
    let of = |it: &&Value| data(it, "user")["attributes"]["email"] == address(name);
    if let Some(its) = all.iter().find(of) {
        let body = json!({ "data": { "type": "group_membership", "id": its["id"],
            "relationships": { "role": new } } });
        let path = format!("{group}/{}?{version}", its["id"].as_str().unwrap());
        world.as_administrator("PATCH", &path, body).await;
        return;
    }
    let state = world.state().await;
    let mut users = state["users"].as_array().unwrap().iter();
    let user = users.find(|it| it["email"] == address(name));
    let body = json!({ "data": { "type": "group_membership", "relationships": {
        "group": one("group", &json!(EXAMPLE)),
        "user": one("user", &user.expect("a user")["id"]),
        "role": new,
    } } });
    let path = format!("{group}?{version}");
    world.as_administrator("POST", &path, body).await;
}

pub async fn in_example(world: &World, name: &str) -> BTreeSet<String> {
    let mut all = roles(world, name).await;
    all.retain(|role| role.starts_with("Example/"));
    all
}

/// Nothing is written while what was in doubt is looked at, and all have this.
pub async fn stays(world: &World, expected: &[(&str, &str)]) {
    world.forget_calls().await;
    tokio::time::sleep(SETTLED).await;
    for (name, role) in expected {
        assert_eq!(in_example(world, name).await, just(role), "{name}");
    }
    let calls = world.calls().await;
    assert_eq!(writes(&calls), [""; 0], "{calls:?}");
    eventually("nothing is in doubt", async || {
        world.status().await["connections"][0]["unsettled"]["memberships"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_refusal_leaves_nothing_in_doubt_that_an_administrator_gives_then() {
    let mut world = snyk_with(SOON, LINK).await;
    let (viewers, members) = (role(&world, VIEWER).await, role(&world, MEMBER).await);
    let refusal = |operation: &str| json!({ "operation": operation, "failure": { "status": { "status": 400 } } });
    let rules = [refusal("create_membership"), refusal("update_membership")];
    world.faults(json!({ "rules": rules })).await;
    let names = ["lou", "ann", "ben", "mel"];
    let ids = names.map(async |name| id_of_user(&world, name).await);
    let ids = futures_util::future::join_all(ids).await;
    for id in &ids[..3] {
        reason(add(&world, &members, id).await, 400, "");
    }
    reason(add(&world, &viewers, &ids[3]).await, 400, "");
    remove(&world, &members, &ids[2]).await.expect(204);
    world.faults(json!({ "rules": [] })).await;

    // Another one, the one that was asked for, and whose wish was taken back.
    let given = [
        ("lou", VIEWER),
        ("ann", MEMBER),
        ("ben", ADMIN),
        ("mel", ADMIN),
    ];
    for (name, role) in given {
        by_hand(&world, name, role).await;
    }
    stays(&world, &given).await;
    // They are shown, and told as what nobody asked for.
    world.import();
    let members = members.trim_start_matches("/Groups/");
    assert!(world.members(members).await.contains(&ids[1]));
    stays(&world, &given).await;
}

#[tokio::test]
async fn what_no_call_can_have_given_stays_though_one_about_the_same_user_got_no_answer() {
    let world = snyk_with(SOON, LINK).await;
    let (viewers, members) = (role(&world, VIEWER).await, role(&world, MEMBER).await);
    let names = ["lou", "mel"];
    let ids = names.map(async |name| id_of_user(&world, name).await);
    let ids = futures_util::future::join_all(ids).await;
    // It was done, and is asked for still.
    let done = json!({ "operation": "update_membership", "failure": "error_after", "next": 1 });
    // It was not, and is not asked for any more.
    let lost = json!({ "operation": "create_membership", "failure": "error_before", "next": 1 });
    world.faults(json!({ "rules": [done, lost] })).await;
    add(&world, &viewers, &ids[1]).await.expect(204);
    add(&world, &members, &ids[0]).await.expect(204);
    remove(&world, &members, &ids[0]).await.expect(204);
    world.faults(json!({ "rules": [] })).await;
    eventually("it is gone", async || {
        in_example(&world, "lou").await.is_empty()
    })
    .await;
    for name in ["lou", "mel"] {
        by_hand(&world, name, ADMIN).await;
    }
    stays(&world, &[("lou", ADMIN), ("mel", ADMIN)]).await;
}

#[tokio::test]
async fn who_was_refused_for_a_role_of_their_own_keeps_what_an_administrator_makes_of_it() {
    let groups = [VIEWER, MEMBER]
        .map(|role| format!("{{ group = \"{EXAMPLE}\", role = \"{role}\" }}"))
        .join(", ");
    let own = format!("{LINK}\ngroups = [{groups}]");
    let mut world = World::of_own(Application::Snyk, SOON, &own).await;
    world.seed(company()).await;
    by_hand(&world, "mel", ADMIN).await;
    world.import();
    let (viewers, mel) = (role(&world, VIEWER).await, id_of_user(&world, "mel").await);
    reason(
        add(&world, &viewers, &mel).await,
        400,
        "take it away in Snyk",
    );
    by_hand(&world, "mel", VIEWER).await;
    stays(&world, &[("mel", VIEWER)]).await;
}

#[tokio::test]
async fn what_another_connection_gave_stays_when_it_leaves_though_this_one_was_refused() {
    let lines = SOON.replace("\"2s\"", "\"4s\"");
    let (mut world, mut other) = two_of_all(&lines).await;
    world.turn_to(&mut other);
    let (viewers, lou) = (role(&world, VIEWER).await, id_of_user(&world, "lou").await);
    add(&world, &viewers, &lou).await.expect(204);
    world.turn_to(&mut other);
    let (members, lou) = (role(&world, MEMBER).await, id_of_user(&world, "lou").await);
    reason(add(&world, &members, &lou).await, 400, ELSEWHERE);
    world.kill_bridge();
    world.reconfigure(|text| {
        let second = text.rfind("[[connection]]").unwrap();
        text[..second].to_owned()
    });
    world.start_bridge();
    tokio::time::sleep(Duration::from_secs(2)).await;
    stays(&world, &[("lou", VIEWER)]).await;
}
