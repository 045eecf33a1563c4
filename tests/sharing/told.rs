//! What one of two connections of a Snyk Group is told and shows of what the other
//! one does: nothing of what that one asks for, and no more of what it has ended.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::roles::{ELSEWHERE, SOON, is_clean};
use crate::{
    snyk::{LINK, activate, add, company, id_of_user, reason, remove, role, role_of, roles},
    support::{Application, Tenant, World},
};

const ADMIN: &str = "group_admin";
const VIEWER: &str = "group_viewer";
const MEMBER: &str = "group_member";

/// Both have found everything.
async fn two() -> (World, Tenant) {
    World::pair_of(Application::Snyk, SOON, [LINK, LINK], company()).await
}

async fn gives_by_hand(world: &World, account: u64, role: u64) {
    let group = format!("10000000-0000-4000-8000-{:012x}", 1);
    let one = |kind: &str, id: &str| json!({ "data": { "type": kind, "id": id } });
    let membership = json!({ "data": { "type": "group_membership", "relationships": {
        "group": one("group", &group),
        "user": one("user", &format!("20000000-0000-4000-8000-{account:012x}")),
        "role": one("group_role", &format!("30000000-0000-4000-8000-{role:012x}")),
    } } });
    let path = format!("/rest/groups/{group}/memberships?version=2025-11-05");
    world.as_administrator("POST", &path, membership).await;
}

/// What a reconciliation of `acme` says, and the counts of who is there unasked.
async fn compared(world: &World) -> (String, bool, [Value; 2]) {
    is_clean(world).await;
    let (said, wrong, ok) = world.run(&["reconcile", "--connection", "acme"]);
    let found = &world.status().await["connections"][0]["lastReconciliation"];
    let counts = [found["unasked"].clone(), found["given_back"].clone()];
    (format!("{said} {wrong}"), ok, counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_for_by_the_other_one_was_given_back_by_nobody() {
    let (mut world, mut other) = two().await;
    let vic = id_of_user(&world, "vic").await;
    world.turn_to(&mut other);
    let (viewers, same) = (role(&world, VIEWER).await, id_of_user(&world, "vic").await);
    add(&world, &viewers, &same).await.expect(204);
    world.turn_to(&mut other);
    let path = format!("/Users/{vic}");
    world.send("DELETE", &path, None).await.expect(204);
    let (said, ok, counts) = compared(&world).await;
    assert!(ok && !said.contains("given back"), "{said}");
    assert!(!said.contains("globex") && !said.contains(VIEWER), "{said}");
    assert_eq!(counts, [0, 0]);

    // Nobody asks any more, and somebody in Snyk gives it.
    world.turn_to(&mut other);
    remove(&world, &viewers, &same).await.expect(204);
    world.turn_to(&mut other);
    is_clean(&world).await;
    gives_by_hand(&world, 2, 2).await;
    let (said, ok, counts) = compared(&world).await;
    assert!(!ok && said.contains("deleted here"), "{said}");
    assert_eq!(counts, [1, 1]);
}

async fn shown(world: &World, snyk_group: &str, role: &str) -> BTreeSet<String> {
    let path = role_of(world, snyk_group, role).await;
    world.members(path.trim_start_matches("/Groups/")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_end_in_part_what_went_is_shown_no_more_and_what_stays_is() {
    let (mut world, mut other) = two().await;
    let root = id_of_user(&world, "root").await;
    let words = "everything else was taken away";
    reason(activate(&world, &root, false).await, 400, words);
    world.turn_to(&mut other);
    let (root, lou) = (
        id_of_user(&world, "root").await,
        id_of_user(&world, "lou").await,
    );
    assert_eq!(shown(&world, "Labs", ADMIN).await, [lou].into());
    assert_eq!(shown(&world, "Example", ADMIN).await, [root].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_another_role_by_one_connection_is_not_shown_in_the_former_by_the_other() {
    let (mut world, mut other) = two().await;
    let (viewers, mel) = (role(&world, VIEWER).await, id_of_user(&world, "mel").await);
    add(&world, &viewers, &mel).await.expect(204);
    is_clean(&world).await;
    world.turn_to(&mut other);
    let (mel, dan) = (
        id_of_user(&world, "mel").await,
        id_of_user(&world, "dan").await,
    );
    assert_eq!(shown(&world, "Example", MEMBER).await, [dan].into());
    assert_eq!(shown(&world, "Labs", MEMBER).await, [mel.clone()].into());
    // It is the first one's place.
    let members = role(&world, MEMBER).await;
    reason(add(&world, &members, &mel).await, 400, ELSEWHERE);
}

/// Also of who has no access just then by the one that only found it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_other_one_has_taken_away_since_is_given_back_to_nobody() {
    let (mut world, mut other) = two().await;
    let first = id_of_user(&world, "mel").await;
    activate(&world, &first, false).await.expect(200);
    is_clean(&world).await;
    assert!(roles(&world, "mel").await.is_empty());
    world.turn_to(&mut other);
    let (labs, mel) = (
        role_of(&world, "Labs", MEMBER).await,
        id_of_user(&world, "mel").await,
    );
    add(&world, &labs, &mel).await.expect(204);
    is_clean(&world).await;
    remove(&world, &labs, &mel).await.expect(204);
    is_clean(&world).await;
    assert!(roles(&world, "mel").await.is_empty());
    world.turn_to(&mut other);
    assert_eq!(shown(&world, "Labs", MEMBER).await, BTreeSet::new());
    activate(&world, &first, true).await.expect(200);
    is_clean(&world).await;
    let left = [format!("Example/{MEMBER}")].into();
    assert_eq!(roles(&world, "mel").await, left);
    assert_eq!(shown(&world, "Labs", MEMBER).await, BTreeSet::new());
}
