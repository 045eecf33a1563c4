//! A key that shows one of the Snyk Groups that are known, beside one of others, and
//! another one no more: nothing is known of that one, so nobody is out of it, nobody is
//! told as gone, and what is to end there waits.

use super::*;

const LABS: &str = "10000000-0000-4000-8000-000000000002";

/// Ann is in Labs, too, and there is a third Snyk Group, with people of its own and Vic.
fn beside_others() -> Value {
    let mut company = company();
    let users = company["users"].as_array_mut().unwrap();
    users.push(json!({ "email": address("eve") }));
    let groups = company["groups"].as_array_mut().unwrap();
    let labs = groups[4]["members"].as_array_mut().unwrap();
    labs.push(address("ann").into());
    groups.push(json!({ "name": "Others", "type": MEMBER,
        "members": [address("eve"), address("vic")] }));
    company
}

async fn members_of_labs(world: &World) -> BTreeSet<String> {
    let labs = role_of(world, "Labs", MEMBER).await;
    world.members(labs.trim_start_matches("/Groups/")).await
}

async fn here(world: &World) -> Value {
    world.status().await["connections"][0].clone()
}

// Commands block their thread for longer than connections are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_snyk_group_that_the_key_does_not_show_nobody_is_out_and_nobody_is_gone() {
    let rules = "read_lag = \"200ms\"\nsync_wait = \"300ms\"";
    let mut world = snyk_with(rules, LINK).await;
    let labs = role_of(&world, "Labs", MEMBER).await;
    let (ann, mel) = (
        id_of_user(&world, "ann").await,
        id_of_user(&world, "mel").await,
    );
    add(&world, &labs, &ann).await.expect(204);
    let all: BTreeSet<String> = [ann.clone(), mel.clone()].into();
    assert_eq!(members_of_labs(&world).await, all);

    world.seed(beside_others()).await;
    let missing = json!({ "status": { "status": 404 } });
    let unlisted = json!({ "left_out": { "ids": [LABS] } });
    world
        .faults(json!({ "rules": [
            { "failure": missing, "target": LABS },
            { "failure": unlisted, "operation": "list_groups" },
        ] }))
        .await;
    world.import();
    assert_eq!(members_of_labs(&world).await, all);
    id_of_user(&world, "eve").await;
    world.forget_calls().await;
    for order in [&["reconcile"][..], &["reconcile", "--apply"]] {
        let (said, wrong, _) = world.run(order);
        let told = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("does not show the group"), "{said} {wrong}");
        assert!(!told.contains("not there any more"), "{said} {wrong}");
        let found = here(&world).await["lastReconciliation"].clone();
        for kind in ["missing", "gone", "accounts_missing", "accounts_back"] {
            assert_eq!(found[kind], 0, "{kind} in {found:#}");
        }
    }
    assert_eq!(writes(&world.calls().await), [""; 0]);
    assert_eq!(members_of_labs(&world).await, all);

    // What is to end there is not done.
    activate(&world, &mel, false).await.expect(200);
    remove(&world, &labs, &ann).await.expect(204);
    eventually("mel is out of what is shown", async || {
        roles(&world, "mel").await == [format!("Labs/{MEMBER}")].into()
    })
    .await;
    eventually("it is told for which Snyk Group both wait", async || {
        let here = here(&world).await;
        let waiting = here["waiting"].as_array().unwrap();
        let waits = |id: &String| {
            let mut of = waiting.iter().filter(|it| it["user"] == **id);
            of.any(|it| it["reason"].as_str().unwrap().contains(LABS))
        };
        waits(&mel) && waits(&ann)
    })
    .await;
    world.faults(json!({})).await;
    eventually("both are out of it", async || {
        roles(&world, "mel").await.is_empty() && roles(&world, "ann").await.is_empty()
    })
    .await;
    assert!(
        roles(&world, "lou")
            .await
            .contains(&format!("Labs/{ADMIN}"))
    );
}
