//! Somebody has more in Snyk than what is asked for, and nobody here asked for that or
//! had found it: it gives way, by the guard, or stays and is told.

use super::{
    by_hand::{by_hand, in_example, stays},
    *,
};

const SOON: &str = "sync_wait = \"1s\"\nread_lag = \"200ms\"\nlate_writes = \"2s\"";

async fn ids_of<const N: usize>(world: &World, names: [&str; N]) -> Vec<String> {
    let ids = names.map(async |name| id_of_user(world, name).await);
    futures_util::future::join_all(ids).await
}

/// The Groups of Example that show a user.
async fn shown_in(world: &World, id: &str) -> Vec<&'static str> {
    let mut shown = Vec::new();
    for name in [ADMIN, VIEWER, MEMBER] {
        let group = role(world, name).await;
        let members = world.members(group.trim_start_matches("/Groups/")).await;
        if members.contains(id) {
            shown.push(name);
        }
    }
    shown
}

/// The details of what the audit tells of a user by that word.
fn audited(world: &World, word: &str, id: &str) -> Vec<String> {
    let (rows, ..) = world.run(&["audit", "export"]);
    let found = rows
        .lines()
        .filter(|it| it.contains(&format!("\"{word}\"")) && it.contains(id));
    found.map(str::to_owned).collect()
}

fn end_recovery(world: &World) {
    let end = ["recovery", "end", "--connection", "acme"];
    let (said, wrong, done) = world.run(&end);
    assert!(done, "{said}{wrong}");
}

#[tokio::test]
async fn what_nobody_here_had_found_gives_way_when_less_is_asked_for() {
    let mut world = snyk_with(SOON, LINK).await;
    let members = role(&world, MEMBER).await;
    let ids = ids_of(&world, ["ann", "lou", "vic", "ben"]).await;
    by_hand(&world, "ann", VIEWER).await;
    by_hand(&world, "lou", ADMIN).await;
    by_hand(&world, "ben", VIEWER).await;
    world.forget_calls().await;
    add(&world, &members, &ids[0]).await.expect(204);
    let calls = world.calls().await;
    // Nobody knew of a membership.
    assert_eq!(writes(&calls), ["create_membership", "update_membership"]);
    for id in &ids[1..3] {
        add(&world, &members, id).await.expect(204);
    }
    let group = world.get(&members).await.expect(200).body;
    let mut all = world.members(members.trim_start_matches("/Groups/")).await;
    all.insert(ids[3].clone());
    let all: Vec<String> = all.into_iter().collect();
    let list = json!({ "schemas": group["schemas"], "displayName": group["displayName"],
        "members": values(&all) });
    world.send("PUT", &members, Some(list)).await.expect(200);
    // An import had shown what Vic has.
    let have = [
        ("ann", MEMBER),
        ("lou", MEMBER),
        ("ben", MEMBER),
        ("vic", VIEWER),
    ];
    stays(&world, &have).await;
    for (id, role) in [(&ids[0], VIEWER), (&ids[1], ADMIN)] {
        let told = audited(&world, "give_way", id);
        let former = super::role(&world, role).await;
        let former = former.trim_start_matches("/Groups/");
        assert!(told.len() == 1 && told[0].contains(former), "{told:?}");
    }
    world.import();
    for id in [&ids[0], &ids[1], &ids[3]] {
        assert_eq!(shown_in(&world, id).await, [MEMBER]);
    }

    // What is given from now on stays, and is told however often it is found.
    by_hand(&world, "ann", ADMIN).await;
    let have = [("ann", ADMIN), ("lou", MEMBER), ("vic", VIEWER)];
    for _ in 0..2 {
        stays(&world, &have).await;
        let (said, ..) = world.run(&["reconcile", "--apply"]);
        for (id, told) in ids.iter().zip([true, false, true]) {
            assert_eq!(said.contains(&format!("? {id}")), told, "{id}: {said}");
        }
        world.import();
    }
    assert_eq!(shown_in(&world, &ids[0]).await, [ADMIN, MEMBER]);
    let admins = role(&world, ADMIN).await;
    remove(&world, &admins, &ids[0]).await.expect(204);
    assert_eq!(in_example(&world, "ann").await, just(MEMBER));
}

#[tokio::test]
async fn what_snyk_gives_at_the_first_sign_in_gives_way_to_what_is_asked_for() {
    let mut world = snyk_with(SOON, "sso = \"link\"\nlook_for_staged = \"1s\"").await;
    let new = world.user("new").await;
    let members = role(&world, MEMBER).await;
    add(&world, &members, &new).await.expect(204);
    let mut company = company();
    let users = company["users"].as_array_mut().unwrap();
    users.push(json!({ "email": address("new") }));
    let seen = company["groups"][1]["members"].as_array_mut().unwrap();
    seen.push(address("new").into());
    world.seed(company).await;
    // Whichever comes first of this and the bridge's own look.
    world.import();
    eventually("it is as asked for", async || {
        in_example(&world, "new").await == just(MEMBER)
    })
    .await;
    stays(&world, &[("new", MEMBER)]).await;
    world.import();
    assert_eq!(shown_in(&world, &new).await, [MEMBER]);
}

#[tokio::test]
async fn whom_a_rule_protects_keeps_what_is_there_and_the_request_says_so() {
    let guard = format!(
        "{SOON}\nguard = {{ enabled = false, protected_users = [\"{}\"], \
         protected_groups = [\"Example: group_viewer\"] }}",
        address("ann")
    );
    let mut world = snyk_with(&guard, LINK).await;
    let members = role(&world, MEMBER).await;
    let ids = ids_of(&world, ["ann", "lou", "ben"]).await;
    let have = [("ann", ADMIN), ("lou", VIEWER), ("ben", ADMIN)];
    for (name, role) in have {
        by_hand(&world, name, role).await;
    }
    for (id, words) in ids.iter().zip(["protected_users", "protected_groups"]) {
        reason(add(&world, &members, id).await, 403, words);
    }
    let have = [("ann", ADMIN), ("lou", VIEWER)];
    stays(&world, &have).await;
    let told = world.status().await.to_string();
    assert!(ids[..2].iter().all(|id| told.contains(id)), "{told}");
    add(&world, &members, &ids[2]).await.expect(204);
    assert_eq!(in_example(&world, "ben").await, just(MEMBER));
    // They are what they were found to be, and nothing else.
    world.import();
    assert_eq!(shown_in(&world, &ids[0]).await, [ADMIN]);
    assert_eq!(shown_in(&world, &ids[1]).await, [VIEWER]);
}

/// Of many who have more the guard lets as many go as it lets be taken out one by one.
#[tokio::test]
async fn more_than_the_guard_lets_go_keep_what_is_there_and_the_numbers_are_true() {
    const COUNT: usize = 15;
    let names: Vec<String> = (0..COUNT).map(|n| format!("u{n}")).collect();
    let crowd = |seen: bool| {
        let mut company = company();
        let users = company["users"].as_array_mut().unwrap();
        users.extend(names.iter().map(|it| json!({ "email": address(it) })));
        let viewers = company["groups"][1]["members"].as_array_mut().unwrap();
        let there = names.iter().filter(|_| seen);
        viewers.extend(there.map(|it| address(it).into()));
        company
    };
    let mut world = World::of_own(Application::Snyk, &format!("{SOON}\nguard = {{}}"), LINK).await;
    world.seed(crowd(false)).await;
    world.import();
    end_recovery(&world);
    let members = role(&world, MEMBER).await;
    let mut ids = Vec::new();
    for name in &names {
        ids.push(id_of_user(&world, name).await);
    }
    world.seed(crowd(true)).await;
    let refused = world.patch(&members, change("add", &ids)).await.expect(403);
    let detail = refused.body["detail"].as_str().unwrap();
    for words in [
        "it takes 1 members from the group, where 10 went in the last hour; at most 10 may go in \
         that time (group_removals)",
        "Example: group_viewer",
    ] {
        assert!(detail.contains(words), "{words} in {detail}");
    }
    let (mut lowered, mut kept) = (0, 0);
    world.import();
    for (name, id) in names.iter().zip(&ids) {
        let shown = shown_in(&world, id).await;
        let is_named = detail.contains(id.as_str());
        match shown[..] {
            [MEMBER] => lowered += 1,
            [VIEWER] if is_named => kept += 1,
            _ => panic!("{name} is in {shown:?}: {detail}"),
        }
        assert_eq!(in_example(&world, name).await, just(shown[0]));
    }
    assert_eq!((lowered, kept), (10, 5));
    // Those count for whoever is taken out, too.
    let (viewers, vic) = (role(&world, VIEWER).await, id_of_user(&world, "vic").await);
    reason(remove(&world, &viewers, &vic).await, 403, "group_removals");
}

#[tokio::test]
async fn in_recovery_more_than_is_asked_for_stays_and_is_shown_and_told() {
    let mut world = World::of_own(Application::Snyk, &format!("{SOON}\nguard = {{}}"), LINK).await;
    world.seed(company()).await;
    world.import();
    let recovery = world.status().await["connections"][0]["recovery"]["why"].clone();
    assert!(recovery.is_string(), "{recovery}");
    let members = role(&world, MEMBER).await;
    let ids = ids_of(&world, ["ann"]).await;
    by_hand(&world, "ann", VIEWER).await;
    add(&world, &members, &ids[0]).await.expect(204);
    stays(&world, &[("ann", VIEWER)]).await;
    assert_eq!(shown_in(&world, &ids[0]).await, [VIEWER, MEMBER]);
    assert_eq!(audited(&world, "found_higher", &ids[0]).len(), 1);
    // And afterwards, until somebody says what is meant.
    end_recovery(&world);
    for _ in 0..2 {
        let (said, ..) = world.run(&["reconcile"]);
        assert!(said.contains(&format!("? {}", ids[0])), "{said}");
        world.import();
    }
    stays(&world, &[("ann", VIEWER)]).await;
    let viewers = role(&world, VIEWER).await;
    remove(&world, &viewers, &ids[0]).await.expect(204);
    assert_eq!(in_example(&world, "ann").await, just(MEMBER));
}

#[tokio::test]
async fn what_got_no_answer_and_what_a_crash_cut_off_comes_to_what_is_asked_for() {
    for (failure, crash) in [
        ("error_after", false),
        ("error_before", false),
        ("silent", true),
        ("silent_after", true),
    ] {
        let mut world = snyk_with(SOON, LINK).await;
        let members = role(&world, MEMBER).await;
        let ids = ids_of(&world, ["ann"]).await;
        by_hand(&world, "ann", VIEWER).await;
        let lost = json!({ "operation": "update_membership", "failure": failure, "next": 1 });
        world.faults(json!({ "rules": [lost] })).await;
        add(&world, &members, &ids[0]).await.expect(204);
        if crash {
            world.kill_and_restart();
        }
        eventually("it is as asked for, and known to be", async || {
            let told = world.status().await["connections"][0].clone();
            in_example(&world, "ann").await == just(MEMBER)
                && (
                    &told["pending"]["memberships"],
                    &told["unsettled"]["memberships"],
                ) == (&json!(0), &json!(0))
        })
        .await;
        world.import();
        assert_eq!(shown_in(&world, &ids[0]).await, [MEMBER]);
        assert_eq!(in_example(&world, "ann").await, just(MEMBER));
    }
}

#[tokio::test]
async fn who_comes_back_with_more_has_what_is_asked_for() {
    let world = snyk_with(SOON, LINK).await;
    let members = role(&world, MEMBER).await;
    let ids = ids_of(&world, ["ann"]).await;
    activate(&world, &ids[0], false).await.expect(200);
    add(&world, &members, &ids[0]).await.expect(204);
    by_hand(&world, "ann", VIEWER).await;
    assert!(!in_example(&world, "ann").await.contains(MEMBER));
    activate(&world, &ids[0], true).await.expect(200);
    eventually("it is as asked for", async || {
        in_example(&world, "ann").await == just(MEMBER)
    })
    .await;
    stays(&world, &[("ann", MEMBER)]).await;
}
