//! Addresses: a user who is linked to an account keeps the one that the account
//! has in Snyk, and of an address that several accounts have it is told whose
//! user it is.

use super::*;

fn renaming(address: &str) -> Value {
    let emails = json!([{ "value": address, "type": "work", "primary": true }]);
    json!([{ "op": "replace", "value": { "userName": address, "emails": emails } }])
}

/// The company, in which somebody has another address.
fn moved(from: &str, to: &str) -> Value {
    let text = company().to_string();
    text.replace(&address(from), &address(to)).parse().unwrap()
}

#[tokio::test]
async fn who_is_linked_keeps_its_address_and_may_change_everything_else() {
    let world = snyk().await;
    let mel = format!("/Users/{}", id_of_user(&world, "mel").await);
    let before = world.get(&mel).await.expect(200).body;
    let refused = world.patch(&mel, renaming(&address("new"))).await;
    assert_eq!(refused.body["scimType"], "mutability", "{:?}", refused.body);
    reason(refused, 400, "Snyk documents no way to change a user");
    let mut whole = user("new");
    whole["emails"] = json!([{ "value": address("new") }]);
    reason(world.put(&mel, whole).await, 400, "cannot be changed");
    assert_eq!(world.get(&mel).await.expect(200).body, before);

    let upper = address("mel").to_uppercase();
    world.patch(&mel, renaming(&upper)).await.expect(200);
    let title = json!([{ "op": "replace", "path": "title", "value": "Lead" }]);
    world.patch(&mel, title).await.expect(200);
    // Another name is no other address.
    let name = json!([{ "op": "replace", "path": "userName", "value": "mel@corp.example.net" }]);
    world.patch(&mel, name).await.expect(200);
    let no_emails = json!([{ "op": "remove", "path": "emails" }]);
    world.patch(&mel, no_emails).await.expect(200);
    activate(&world, mel.trim_start_matches("/Users/"), false)
        .await
        .expect(200);
    assert!(roles(&world, "mel").await.is_empty());
}

#[tokio::test]
async fn an_address_that_the_account_has_by_now_is_taken() {
    let world = snyk().await;
    let mel = id_of_user(&world, "mel").await;
    world.seed(moved("mel", "married")).await;
    let path = format!("/Users/{mel}");
    let somebody_elses = world.patch(&path, renaming(&address("vic"))).await;
    reason(somebody_elses, 400, "cannot be changed");
    world
        .patch(&path, renaming(&address("married")))
        .await
        .expect(200);
    activate(&world, &mel, false).await.expect(200);
    assert!(roles(&world, "married").await.is_empty());
}

#[tokio::test]
async fn who_leaves_with_another_address_is_out_and_comes_back_with_the_one_of_the_account() {
    let world = snyk().await;
    let mel = id_of_user(&world, "mel").await;
    let mut leaving = user("left");
    leaving["emails"] = json!([{ "value": address("left") }]);
    leaving["active"] = json!(false);
    let path = format!("/Users/{mel}");
    let left = world.put(&path, leaving).await.expect(200).body;
    assert_eq!(left["active"], false);
    assert!(roles(&world, "mel").await.is_empty());
    reason(activate(&world, &mel, true).await, 400, "cannot be changed");
    assert!(roles(&world, "mel").await.is_empty());
    world
        .patch(&path, renaming(&address("mel")))
        .await
        .expect(200);
    activate(&world, &mel, true).await.expect(200);
}

#[tokio::test]
async fn who_has_not_appeared_may_change_its_address() {
    let world = snyk().await;
    let new = format!("/Users/{}", world.user("new").await);
    world
        .patch(&new, renaming(&address("newer")))
        .await
        .expect(200);
}

#[tokio::test]
async fn it_is_told_whose_address_several_accounts_have() {
    let mut world = snyk_with("import = \"start\"", LINK).await;
    let vic = id_of_user(&world, "vic").await;
    let mut company = company();
    let users = company["users"].as_array_mut().unwrap();
    users.push(json!({ "email": address("vic") }));
    let account = |n: usize| format!("20000000-0000-4000-8000-{n:012x}");
    let (first, second) = (account(2), account(users.len()));
    world.seed(company).await;
    // Teams name people by their addresses, which are the second one's now.
    let group = format!("10000000-0000-4000-8000-{:012x}", 1);
    let one = |kind: &str, id: &str| json!({ "data": { "type": kind, "id": id } });
    let role = format!("30000000-0000-4000-8000-{:012x}", 3);
    let membership = json!({ "data": { "type": "group_membership", "relationships": {
        "group": one("group", &group),
        "user": one("user", &first),
        "role": one("group_role", &role),
    } } });
    let path = format!("/rest/groups/{group}/memberships?version=2025-11-05");
    world.as_administrator("POST", &path, membership).await;
    world.kill_and_restart();
    eventually("it is told", async || {
        world.status().await["connections"][0]["sameAddress"] != json!([])
    })
    .await;
    let status = world.status().await;
    let told = json!([{ "user": vic, "accounts": [first, second] }]);
    assert_eq!(status["connections"][0]["sameAddress"], told, "{status}");
    let (said, _, well) = world.run(&["status"]);
    let said: Vec<&str> = said.split_whitespace().collect();
    let told = said.join(" ").contains("give each an address of its own");
    assert!(!well && told, "{said:?}");
}
