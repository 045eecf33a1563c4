//! Who leaves, and is in a group of which nothing can be told now that keeps its
//! last members: everything else goes.

use super::*;

const WATCHED: &str = "read_lag = \"1s\"\nsync_wait = \"300ms\"\n\
    guard = { enabled = false, protected_groups = [\"Labs: group_admin\"] }";

/// Lou views Example, and administers Labs beside these.
fn with_lou(labs: &[&str]) -> Value {
    let mut company = company();
    let teams = company["groups"].as_array_mut().unwrap();
    teams[1]["members"] = json!([address("vic"), address("lou")]);
    let members: Vec<String> = labs.iter().map(|name| address(name)).collect();
    teams[3]["members"] = json!(members);
    company
}

async fn here(world: &World) -> Value {
    world.status().await["connections"][0].clone()
}

#[tokio::test]
async fn who_leaves_loses_everything_else_while_a_protected_group_shows_nobody() {
    for deleted in [false, true] {
        let mut world = World::of_own(Application::Snyk, WATCHED, LINK).await;
        world.seed(with_lou(&["root", "lou"])).await;
        world.import();
        let lou = id_of_user(&world, "lou").await;
        let admins = role_of(&world, "Labs", ADMIN).await;
        // Nobody is shown in it, whoever is there.
        world.seed(with_lou(&[])).await;
        assert_eq!(roles(&world, "lou").await, just(VIEWER));
        if deleted {
            let path = format!("/Users/{lou}");
            world.send("DELETE", &path, None).await.expect(204);
        } else {
            activate(&world, &lou, false).await.expect(200);
        }
        eventually("it is out of everything else", async || {
            roles(&world, "lou").await.is_empty()
        })
        .await;
        let group = admins.trim_start_matches("/Groups/");
        let waits = |told: &Value| {
            let mut all = told["waiting"].as_array().unwrap().iter();
            let reason = |it: &Value| it["reason"].as_str().unwrap_or_default().to_owned();
            let told = told.to_string().contains(group);
            told && all.any(|it| it["user"] == lou && reason(it).contains("nobody is shown"))
        };
        eventually("it is told who waits, and for what", async || {
            waits(&here(&world).await)
        })
        .await;
        // Once, and once more as a look may lag, and not with every look: the lane of the other group may have
        // left nothing else to end.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (audit, ..) = world.run(&["audit", "export"]);
        let ends = audit.lines().filter(|it| it.contains("deactivate_user"));
        let ends = ends.count();
        assert!(ends <= 3, "{ends} ends: {audit}");

        world.seed(with_lou(&["root", "lou"])).await;
        let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
        eventually("all of it is gone", async || {
            let told = here(&world).await;
            roles(&world, "lou").await.is_empty()
                && (&told["pending"], &told["waiting"]) == (&nothing, &json!([]))
        })
        .await;
    }
}

#[tokio::test]
async fn who_comes_back_before_the_end_has_everything_again() {
    let mut world = World::of_own(Application::Snyk, WATCHED, LINK).await;
    world.seed(with_lou(&["root", "lou"])).await;
    world.import();
    let lou = id_of_user(&world, "lou").await;
    let viewer = role(&world, VIEWER).await;
    add(&world, &viewer, &lou).await.expect(204);
    world.seed(with_lou(&[])).await;
    activate(&world, &lou, false).await.expect(200);
    eventually("it is out", async || {
        !roles(&world, "lou").await.contains("Example/group_viewer")
    })
    .await;
    activate(&world, &lou, true).await.expect(200);
    eventually("it is in again", async || {
        roles(&world, "lou").await.contains("Example/group_viewer")
    })
    .await;
    assert_eq!(here(&world).await["waiting"], json!([]));
}
