//! Two connections give a role in one Snyk Group, and the first leaves it out of its
//! configuration: whom it has there is its own to end still, and nobody else.

use serde_json::json;

use super::roles::{SOON, is_clean};
use crate::{
    snyk::{LINK, activate, add, company, id_of_user, role_of, roles},
    support::{Application, Tenant, World, eventually},
};

const MEMBER: &str = "group_member";

fn offered(groups: &[u8]) -> String {
    let one = |n: &u8| {
        let group = format!("10000000-0000-4000-8000-{n:012x}");
        format!("{{ group = \"{group}\", role = \"{MEMBER}\" }}")
    };
    let all: Vec<String> = groups.iter().map(one).collect();
    format!("groups = [{}]", all.join(", "))
}

/// `acme` has put Ann into Labs, where Mel was found, and names Labs no more; Cat is
/// there by hand since.
async fn two() -> (World, Tenant) {
    let own = format!("{LINK}\n{}", offered(&[1, 2]));
    let pair = World::pair_of(Application::Snyk, SOON, [&own, &own], company());
    let (mut world, mut other) = pair.await;
    let labs = role_of(&world, "Labs", MEMBER).await;
    let ann = id_of_user(&world, "ann").await;
    add(&world, &labs, &ann).await.expect(204);
    is_clean(&world).await;
    let id = |kind: u8, n: u8| format!("{kind}0000000-0000-4000-8000-{n:012x}");
    let one = |of: &str, id: String| json!({ "data": { "type": of, "id": id } });
    let membership = json!({ "data": { "type": "group_membership", "relationships": {
        "group": one("group", id(1, 2)),
        "user": one("user", id(2, 7)),
        "role": one("group_role", id(3, 3)),
    } } });
    let path = format!("/rest/groups/{}/memberships?version=2025-11-05", id(1, 2));
    world.as_administrator("POST", &path, membership).await;
    let (before, now) = (offered(&[1, 2]), offered(&[1]));
    world.reconfigure(|text| text.replacen(&before, &now, 1));
    world.import();
    world.meet(&mut other);
    (world, other)
}

async fn in_labs(world: &World, name: &str) -> bool {
    roles(world, name).await.contains("Labs/group_member")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_both_is_out_of_what_one_of_them_leaves_out() {
    let (mut world, mut other) = two().await;
    let own = [
        id_of_user(&world, "ann").await,
        id_of_user(&world, "mel").await,
    ];
    world.turn_to(&mut other);
    for name in ["ann", "mel", "cat"] {
        assert!(in_labs(&world, name).await);
        let same = id_of_user(&world, name).await;
        activate(&world, &same, false).await.expect(200);
    }
    eventually("cat was left behind by nobody", async || {
        !in_labs(&world, "cat").await
    })
    .await;
    is_clean(&world).await;
    assert!(in_labs(&world, "ann").await && in_labs(&world, "mel").await);
    world.turn_to(&mut other);
    for id in &own {
        activate(&world, id, false).await.expect(200);
    }
    eventually("both are out", async || {
        !in_labs(&world, "ann").await && !in_labs(&world, "mel").await
    })
    .await;
    is_clean(&world).await;
    let (said, _, ok) = world.run(&["status"]);
    assert!(ok, "{said}");
}
