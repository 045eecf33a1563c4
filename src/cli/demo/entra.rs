//! What Microsoft Entra ID sends: operations in capitals, booleans as text, a
//! group without members first, then members in later requests.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    okta::id_of,
    play::{Play, Scheme, Step},
};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// Somebody of the company.
const SOMEBODY: &str = "deepa.castillo@example.com";

pub(super) async fn flow(play: &mut Play<'_>) {
    play.enter("Microsoft Entra ID", Scheme::Bearer);
    let somebody = match_somebody(play).await;
    let new = create(play).await;
    group(play, &somebody, &new).await;
    leave(play, &new).await;
}

/// Finds an account that was there before, by its name.
async fn match_somebody(play: &mut Play<'_>) -> String {
    let state = play.simulator.state();
    let account = state
        .users
        .iter()
        .find(|user| user.active)
        .map_or(SOMEBODY, |user| user.email.as_str());
    let found = play
        .step(Step {
            says: "Entra looks for somebody who has an account already, and finds it.".into(),
            method: Method::GET,
            path: format!(
                "/Users?filter=userName%20eq%20%22{}%22",
                account.replace('@', "%40")
            ),
            body: None,
            status: 200,
            calls: 0,
        })
        .await;
    let first = found.pointer("/Resources/0").and_then(id_of);
    play.require(first.is_some(), "the account was not found");
    first.unwrap_or_default()
}

async fn create(play: &mut Play<'_>) -> String {
    let user = play
        .step(Step {
            says: "Entra creates Bo; \"True\" comes as text.".into(),
            method: Method::POST,
            path: "/Users".into(),
            body: Some(json!({
                "schemas": [USER, ENTERPRISE],
                "externalId": "bo.berg",
                "userName": "bo.berg@example.com",
                "active": "True",
                "emails": [{"primary": true, "type": "work", "value": "bo.berg@example.com"}],
                "meta": {"resourceType": "User"},
                "name": {"formatted": "Bo Berg", "familyName": "Berg", "givenName": "Bo"},
                "displayName": "Bo Berg",
                "roles": [],
            })),
            status: 201,
            calls: 1,
        })
        .await;
    let bo = id_of(&user).unwrap_or_default();
    let changed = play
        .step(Step {
            says: "A phone number is nothing the application could hold: kept here, no call.".into(),
            method: Method::PATCH,
            path: format!("/Users/{bo}"),
            body: Some(json!({"schemas": [PATCH], "Operations": [
                {"op": "Add", "path": "phoneNumbers[type eq \"work\"].value", "value": "+46 8 123 456"},
            ]})),
            status: 200,
            calls: 0,
        })
        .await;
    let kept = changed.pointer("/phoneNumbers/0/value") == Some(&json!("+46 8 123 456"));
    play.require(kept, "the phone number did not come back as it was sent");
    bo
}

async fn group(play: &mut Play<'_>, somebody: &str, new: &str) {
    let group = play
        .step(Step {
            says: "Entra creates a group, still without members.".into(),
            method: Method::POST,
            path: "/Groups".into(),
            body: Some(json!({
                "schemas": [GROUP],
                "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
                "displayName": "data-residency",
                "meta": {"resourceType": "Group"},
            })),
            status: 201,
            calls: 1,
        })
        .await;
    let id = id_of(&group).unwrap_or_default();
    let mut patch = async |says: &str, operation: Value| {
        play.step(Step {
            says: says.into(),
            method: Method::PATCH,
            path: format!("/Groups/{id}"),
            body: Some(json!({"schemas": [PATCH], "Operations": [operation]})),
            status: 204,
            calls: 1,
        })
        .await;
    };
    patch(
        "The members follow, with \"Add\" in capitals.",
        json!({"op": "Add", "path": "members", "value": [
            {"$ref": null, "value": somebody}, {"$ref": null, "value": new},
        ]}),
    )
    .await;
    patch(
        "\"Remove\" with a list of values removes only those.",
        json!({"op": "Remove", "path": "members", "value": [{"$ref": null, "value": somebody}]}),
    )
    .await;
    let left = play.members_upstream("data-residency").unwrap_or_default();
    play.require(
        left == ["bo.berg@example.com"],
        "the application's group should hold just Bo",
    );
}

async fn leave(play: &mut Play<'_>, new: &str) {
    play.step(Step {
        says: "Bo leaves: \"False\" as text deactivates him, one call whatever his memberships."
            .into(),
        method: Method::PATCH,
        path: format!("/Users/{new}"),
        body: Some(json!({"schemas": [PATCH], "Operations": [
            {"op": "Replace", "path": "active", "value": "False"},
        ]})),
        status: 200,
        calls: 1,
    })
    .await;
    let state = play.simulator.state();
    let gone = state
        .user("bo.berg@example.com")
        .is_some_and(|user| !user.active);
    play.require(gone, "his account in the application is still active");
}
