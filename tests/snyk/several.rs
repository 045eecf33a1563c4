//! Users whom Snyk shows with two memberships of one Snyk Group, as its contract
//! rules out: nothing is believed of those, everybody else is read as ever, and who
//! leaves loses both.

use super::*;

/// The company, with who has one more role of the first Snyk Group.
fn doubled(more: &[(&str, &str)]) -> Value {
    let mut company = company();
    for (role, name) in more {
        let team = json!({
            "name": "Example", "type": role, "members": [address(name)], "besides": true,
        });
        company["groups"].as_array_mut().unwrap().push(team);
    }
    company
}

/// The bridge that knew Vic as viewer and Mel as member, and was started again since
/// Snyk shows both with two roles.
async fn twice() -> World {
    let mut world = snyk_with("import = \"start\"\nread_lag = \"100ms\"", LINK).await;
    let mut company = doubled(&[(MEMBER, "vic"), (VIEWER, "mel")]);
    let ann = json!({ "name": "Example", "type": MEMBER, "members": [address("ann")] });
    company["groups"].as_array_mut().unwrap().push(ann);
    world.seed(company).await;
    read_anew(&mut world).await;
    world.forget_calls().await;
    world
}

async fn read_anew(world: &mut World) {
    world.import();
    eventually("it is read", async || {
        world.status().await["connections"][0]["lastImport"]["users"].is_u64()
    })
    .await;
}

async fn told(world: &World) -> Value {
    world.status().await["connections"][0]["severalMemberships"].clone()
}

async fn members_of(world: &World, role_name: &str) -> BTreeSet<String> {
    let role = role(world, role_name).await;
    world.members(role.trim_start_matches("/Groups/")).await
}

fn both(name: &str) -> (&str, BTreeSet<String>) {
    (
        name,
        [VIEWER, MEMBER]
            .map(|role| format!("Example/{role}"))
            .into(),
    )
}

#[tokio::test]
async fn everybody_else_is_read_and_what_was_known_of_them_stays() {
    let mut world = twice().await;
    let (vic, mel) = (
        id_of_user(&world, "vic").await,
        id_of_user(&world, "mel").await,
    );
    let ann = id_of_user(&world, "ann").await;
    let known = async |world: &World| {
        let (viewers, members) = (
            members_of(world, VIEWER).await,
            members_of(world, MEMBER).await,
        );
        assert_eq!(viewers, [vic.clone()].into());
        assert!(
            members.contains(&mel) && members.contains(&ann),
            "{members:?}"
        );
        assert!(!members.contains(&vic), "{members:?}");
    };
    known(&world).await;
    let account = |n: u32| format!("20000000-0000-4000-8000-{n:012}");
    let group = "10000000-0000-4000-8000-000000000001";
    let expected = [(&vic, 2), (&mel, 3)]
        .map(|(user, n)| json!({ "user": user, "account": account(n), "of": group }));
    assert_eq!(told(&world).await, json!(expected));
    let status = world.status().await;
    assert_eq!(
        status["connections"][0]["lastImport"]["several"], 2,
        "{status}"
    );
    for command in ["status", "check"] {
        let (said, _, well) = world.run(&[command]);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let (what, remedy) = ("more than one membership of", "in the application");
        assert!(!well && said.contains(what), "{command}: {said}");
        assert!(said.contains(group), "{command}: {said}");
        let remedy = if command == "check" {
            "in Snyk"
        } else {
            remedy
        };
        assert!(said.contains(remedy), "{command}: {said}");
    }
    assert!(
        world.log().contains("more than one membership"),
        "{}",
        world.log()
    );
    let (said, wrong, _) = world.run(&["reconcile", "--apply", "--shrunk"]);
    assert!(!said.contains(&vic), "{said} {wrong}");
    known(&world).await;
    assert_eq!(writes(&world.calls().await), [""; 0]);
    for (name, roles_of) in [both("vic"), both("mel")] {
        let mut has = roles(&world, name).await;
        has.retain(|role| role.starts_with("Example/"));
        assert_eq!(has, roles_of);
    }
    // The remedy.
    world.seed(company()).await;
    read_anew(&mut world).await;
    assert_eq!(told(&world).await, json!([]));
    let (said, _, well) = world.run(&["status"]);
    assert!(well, "{said}");
}

#[tokio::test]
async fn no_role_of_theirs_is_changed() {
    let world = twice().await;
    let vic = id_of_user(&world, "vic").await;
    let (admin, viewer) = (role(&world, ADMIN).await, role(&world, VIEWER).await);
    reason(add(&world, &admin, &vic).await, 400, "two memberships");
    reason(remove(&world, &viewer, &vic).await, 400, "two memberships");
    assert_eq!(writes(&world.calls().await), [""; 0]);
    assert_eq!(members_of(&world, VIEWER).await, [vic].into());
    // Everybody else is changed as ever.
    let ann = id_of_user(&world, "ann").await;
    add(&world, &viewer, &ann).await.expect(204);
    assert_eq!(roles(&world, "ann").await, just(VIEWER));
}

#[tokio::test]
async fn nobody_of_them_administers_for_certain() {
    let mut world = snyk_with("import = \"start\"\nread_lag = \"100ms\"", LINK).await;
    world
        .seed(doubled(&[(MEMBER, "ben"), (ADMIN, "ben")]))
        .await;
    read_anew(&mut world).await;
    let (admin, root) = (role(&world, ADMIN).await, id_of_user(&world, "root").await);
    let last = "nobody else has the role";
    reason(remove(&world, &admin, &root).await, 400, last);
}

#[tokio::test]
async fn who_leaves_loses_both() {
    let world = twice().await;
    let (vic, mel) = (
        id_of_user(&world, "vic").await,
        id_of_user(&world, "mel").await,
    );
    let (off, calls) = world.calls_of(activate(&world, &vic, false)).await;
    off.expect(200);
    assert_eq!(roles(&world, "vic").await, BTreeSet::new());
    assert_eq!(writes(&calls), ["delete_membership"; 2]);
    let mel = format!("/Users/{mel}");
    world.send("DELETE", &mel, None).await.expect(204);
    eventually("Mel is out of everything", async || {
        roles(&world, "mel").await.is_empty()
    })
    .await;
    assert_eq!(told(&world).await, json!([]));
    // Who comes back gets what is asked for, and has that alone.
    activate(&world, &vic, true).await.expect(200);
    eventually("Vic is a viewer", async || {
        roles(&world, "vic").await == just(VIEWER)
    })
    .await;
}
