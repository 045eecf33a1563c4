//! Two users who change places, in one request: nobody is looked at because of a
//! pair that the answer about the other one has told already.

use super::*;

async fn swapped(own: &str) -> Vec<String> {
    let world = snyk_with("", &format!("{LINK}\n{own}")).await;
    let (member, viewer) = (role(&world, MEMBER).await, role(&world, VIEWER).await);
    let ann = id_of_user(&world, "ann").await;
    let ben = id_of_user(&world, "ben").await;
    add(&world, &member, &ann).await.expect(204);
    add(&world, &viewer, &ben).await.expect(204);
    let place = |role: &str, comes: &str, goes: &str| {
        json!({ "method": "PATCH", "path": role, "data": {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [
                { "op": "add", "path": "members", "value": [{ "value": comes }] },
                { "op": "remove", "path": format!("members[value eq \"{goes}\"]") },
            ],
        } })
    };
    let swap = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [place(&viewer, &ann, &ben), place(&member, &ben, &ann)],
    });
    world.forget_calls().await;
    let reply = world.post("/Bulk", swap).await.expect(200);
    let ends = reply.body["Operations"].as_array().unwrap().clone();
    assert!(ends.iter().all(|it| it["status"] == "204"), "{ends:?}");
    eventually("everything is told", async || {
        world.status().await["connections"][0]["pending"]["memberships"] == 0
    })
    .await;
    let calls = world.calls().await;
    assert_eq!(roles(&world, "ann").await, just(VIEWER));
    assert_eq!(roles(&world, "ben").await, just(MEMBER));
    operations(&calls).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn two_who_change_places_in_one_request_are_a_call_each() {
    // One look at those who administer serves for both.
    assert_eq!(
        swapped("").await,
        ["list_memberships", "update_membership", "update_membership"]
    );
}

#[tokio::test]
async fn they_are_a_look_and_a_call_each_where_no_answer_is_relied_on() {
    let mut calls = swapped("roles_known_for = \"never\"").await;
    calls.sort_unstable();
    let (look, update) = ("list_memberships", "update_membership");
    assert_eq!(calls, [look, look, update, update]);
}
