//! Who has a lesser role by a reading a moment ago is raised in one call; a look
//! comes where that is not so, and nobody administers less for it.

use super::*;

const COUNT: usize = 12;

/// Everybody has the role that Snyk gives at the first sign-in.
fn crowd(roles: &[(&str, Vec<String>)]) -> Value {
    let mut people: Vec<String> = (0..COUNT).map(|n| address(&format!("u{n}"))).collect();
    people.extend(["root", "vic"].map(address));
    let person = |email: &String| json!({ "email": email });
    let mut teams = vec![
        json!({ "name": "Example", "type": ADMIN, "members": [address("root")] }),
        json!({ "name": "Example", "type": VIEWER, "members": [address("vic")] }),
    ];
    teams.extend(
        roles
            .iter()
            .map(|(role, members)| json!({ "name": "Example", "type": role, "members": members })),
    );
    json!({ "users": people.iter().map(person).collect::<Vec<_>>(), "groups": teams })
}

fn signed_in(but: &[usize]) -> Vec<String> {
    let all = (0..COUNT).filter(|n| !but.contains(n));
    all.map(|n| address(&format!("u{n}"))).collect()
}

async fn world(own: &str) -> (World, String, Vec<String>) {
    let start = "import = \"start\"";
    let mut world = World::of_own(Application::Snyk, start, own).await;
    world.seed(crowd(&[(MEMBER, signed_in(&[]))])).await;
    // It is the process that serves which has to have read it.
    world.kill_bridge();
    world.start_bridge();
    eventually("everything is read", async || {
        let users = world.get("/Users?count=0").await;
        let groups = world.get("/Groups?count=0").await;
        let count = |reply: Reply| reply.expect(200).body["totalResults"].as_u64();
        (count(users), count(groups)) == (Some(COUNT as u64 + 2), Some(3))
    })
    .await;
    world.forget_calls().await;
    let viewer = role(&world, VIEWER).await;
    let mut ids = Vec::new();
    for n in 0..COUNT {
        ids.push(id_of_user(&world, &format!("u{n}")).await);
    }
    (world, viewer, ids)
}

async fn raised(world: &World, role: &str, ids: &[String]) -> [usize; 2] {
    let (reply, calls) = world.calls_of(world.patch(role, change("add", ids))).await;
    reply.expect(204);
    let sent = |operation: &str| {
        let same = |call: &&Value| call["operation"] == operation;
        calls.iter().filter(same).count()
    };
    let all = ["list_memberships", "update_membership"].map(sent);
    assert_eq!(all[0] + all[1], calls.len(), "{calls:?}");
    all
}

#[tokio::test]
async fn who_has_the_default_role_is_raised_in_one_call() {
    let (world, viewer, ids) = world("").await;
    // One look at those who administer serves for all.
    assert_eq!(raised(&world, &viewer, &ids).await, [1, COUNT]);
    for n in 0..COUNT {
        assert_eq!(roles(&world, &format!("u{n}")).await, just(VIEWER));
    }
}

#[tokio::test]
async fn a_reading_that_is_too_old_is_made_again_where_that_is_no_dearer_than_looks() {
    let (world, viewer, ids) = world("roles_known_for = \"1s\"").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let [reads, updates] = raised(&world, &viewer, &ids).await;
    assert_eq!(updates, COUNT);
    assert!((1..COUNT / 2).contains(&reads), "{reads}");
}

#[tokio::test]
async fn a_look_comes_first_where_no_reading_is_relied_on() {
    let (world, viewer, ids) = world("roles_known_for = \"never\"").await;
    let by_hand = [(MEMBER, signed_in(&[0])), (ADMIN, vec![address("u0")])];
    world.seed(crowd(&by_hand)).await;
    // Of the higher role nobody here knows: it gives way to what is asked for, after
    // another look and one at those who administer.
    assert_eq!(raised(&world, &viewer, &ids).await, [COUNT + 2, COUNT]);
    assert_eq!(roles(&world, "u0").await, just(VIEWER));
}

/// Somebody in Snyk gives a member of Example another role that a member has.
async fn by_hand(world: &World, name: &str, role: &str) {
    let group = "/rest/groups/10000000-0000-4000-8000-000000000001/memberships";
    let version = "version=2025-11-05";
    let path = format!("{group}?{version}&limit=100");
    let shown = world.as_administrator("GET", &path, Value::Null).await;
    let all = shown["data"].as_array().unwrap();
    let data = |it: &Value, of: &str| it["relationships"][of]["data"].clone();
    let of = |it: &&Value| data(it, "user")["attributes"]["email"] == address(name);
    let its = all.iter().find(of).expect("a membership");
    let mut roles = all.iter().map(|it| data(it, "role"));
    let new = roles.find(|it| it["attributes"]["name"] == role);
    let new = new.expect("a role")["id"].clone();
    let id = its["id"].as_str().unwrap();
    let body = json!({ "data": { "type": "group_membership", "id": id, "relationships": {
        "role": { "data": { "type": "group_role", "id": new } },
    } } });
    let path = format!("{group}/{id}?{version}");
    world.as_administrator("PATCH", &path, body).await;
}

#[tokio::test]
async fn the_only_one_who_administers_by_now_is_not_lowered_by_a_reading() {
    let (world, viewer, ids) = world("").await;
    by_hand(&world, "u0", ADMIN).await;
    by_hand(&world, "root", MEMBER).await;
    let reply = world.patch(&viewer, change("add", &ids)).await.expect(400);
    let detail = reply.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("give it to another user first"), "{detail}");
    assert!(detail.contains(&ids[0]), "{detail}");
    assert_eq!(roles(&world, "u0").await, just(ADMIN));
    for n in 1..COUNT {
        assert_eq!(roles(&world, &format!("u{n}")).await, just(VIEWER));
    }
}

#[tokio::test]
async fn where_nobody_administers_one_look_at_that_serves_and_each_is_looked_at() {
    let (mut world, viewer, ids) = world("").await;
    by_hand(&world, "root", MEMBER).await;
    world.kill_bridge();
    world.start_bridge();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    world.forget_calls().await;
    assert_eq!(raised(&world, &viewer, &ids).await, [COUNT + 1, COUNT]);
}
