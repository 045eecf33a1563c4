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
async fn who_has_not_appeared_may_change_its_address() {
    let world = snyk().await;
    let new = format!("/Users/{}", world.user("new").await);
    world
        .patch(&new, renaming(&address("newer")))
        .await
        .expect(200);
}
